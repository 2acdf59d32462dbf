// A connection takes some 100 KB, most of it on V8's heap, of which the image has 96 MiB.
const MOST = 256;

/** One connection that is kept. */
export interface Lodger {
  /** Those of one cluster do not give way to one another: a round needs all of them. */
  readonly cluster: unknown;
  /** Until then it is kept, if there is room. */
  readonly untilMs: number;
  /** Requests are running on it. */
  busy(): boolean;
  /** Closes it, and says so to the room; whoever needs it afterwards opens another. */
  leave(): void;
}

/**
 * The connections of all clusters: when there are too many, the one goes that would have gone first, unless
 * requests are running on it.
 */
export class ConnectionRoom {
  readonly #most: number;
  readonly #lodgers = new Set<Lodger>();

  constructor(most = MOST) {
    this.#most = most;
  }

  get size(): number {
    return this.#lodgers.size;
  }

  enter(lodger: Lodger): void {
    while (this.#lodgers.size >= this.#most) {
      const first = this.#firstToGo(lodger.cluster);
      if (first === null) break;
      first.leave();
    }
    this.#lodgers.add(lodger);
  }

  left(lodger: Lodger): void {
    this.#lodgers.delete(lodger);
  }

  /** null: all others are busy. */
  #firstToGo(forCluster: unknown): Lodger | null {
    let first: Lodger | null = null;
    for (const lodger of this.#lodgers) {
      if (lodger.busy() || lodger.cluster === forCluster) continue;
      if (first === null || lodger.untilMs < first.untilMs) first = lodger;
    }
    return first;
  }
}
