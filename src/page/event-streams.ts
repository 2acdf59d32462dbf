import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Fragment } from './guard-card.ts';
import type { PageContent } from './page.ts';
import type { GuardName } from './port.ts';
import { writeQuery, type PageQuery } from './query.ts';

/** What streams show, and how they hear of news. */
export interface StreamsContext {
  readonly content: (query: PageQuery) => PageContent;
  /** When a guard was last looked at, milliseconds since the epoch; null: not yet. */
  readonly seen: (guard: GuardName) => number | null;
  /** Has these looked at again; returns at once. */
  readonly freshen: (guards: readonly GuardName[]) => void;
  /** Calls whenever there may be something new; returns what ends that. */
  readonly onChanged: (listener: () => void) => () => void;
}

const EVERY_MS = 1_000;
/** What comes together goes together: where reviews are many, the table of decisions is news all the time. */
const TOGETHER_MS = 250;
const MOST_STREAMS = 50;
/** Whoever reads so slowly gets the next picture later, and after ten times that none. */
const BEHIND_BYTES = 256 * 1_024;
const RETRY_MS = 2_000;

/** One message of the stream. */
export interface Update {
  /** Markup of what looks different, by element. */
  readonly parts: Readonly<Record<string, string>>;
  /** Elements of all cards in their order; null: as before. */
  readonly order: readonly string[] | null;
  /** When each card was seen, by element, RFC 3339. */
  readonly seen: Readonly<Record<string, string>>;
  /** For those who don't see what has changed. */
  readonly say: readonly string[];
}

/** One event stream a browser; the only clock of the page, and it stands still while nobody watches. */
export class EventStreams {
  readonly #context: StreamsContext;
  readonly #open = new Set<Stream>();
  #timer: NodeJS.Timeout | null = null;
  #soon: NodeJS.Timeout | null = null;
  #forget: (() => void) | null = null;

  constructor(context: StreamsContext) {
    this.#context = context;
  }

  open(request: IncomingMessage, response: ServerResponse, query: PageQuery): void {
    if (this.#open.size >= MOST_STREAMS) {
      response.statusCode = 503;
      response.setHeader('Content-Type', 'application/json; charset=utf-8');
      response.end('{"error":"too many watch this page live; it can still be loaded"}\n');
      return;
    }
    response.setHeader('Content-Type', 'text/event-stream; charset=utf-8');
    // Else a proxy in between may collect what is meant for now.
    response.setHeader('X-Accel-Buffering', 'no');
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    response.write(`retry: ${RETRY_MS}\n\n`);
    const stream = new Stream(response, query);
    this.#open.add(stream);
    response.once('close', () => {
      this.#open.delete(stream);
      if (this.#open.size === 0) this.#rest();
    });
    this.#run();
    this.#tick(stream, this.#context);
  }

  stop(): void {
    for (const { response } of this.#open) response.end();
    this.#rest();
  }

  #run(): void {
    this.#timer ??= setInterval(() => {
      const context = this.#sharing();
      for (const stream of this.#open) this.#tick(stream, context);
    }, EVERY_MS);
    this.#forget ??= this.#context.onChanged(() => {
      this.#soon ??= setTimeout(() => {
        this.#soon = null;
        const context = this.#sharing();
        for (const stream of this.#open) this.#send(stream, context, 'news');
      }, TOGETHER_MS);
    });
  }

  #rest(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    if (this.#soon !== null) clearTimeout(this.#soon);
    this.#forget?.();
    this.#timer = null;
    this.#soon = null;
    this.#forget = null;
  }

  #tick(stream: Stream, context: StreamsContext): void {
    const content = this.#send(stream, context, 'alive');
    if (content !== null) context.freshen(content.guards.guards);
  }

  /** null: it can't be shown, which loading the page tells of; it must not end who answers reviews. */
  #send(stream: Stream, context: StreamsContext, why: 'news' | 'alive'): PageContent | null {
    try {
      return stream.send(context, why);
    } catch {
      stream.response.destroy();
      return null;
    }
  }

  /** The same, for one moment: most look at the same page, and reviews wait while it is made. */
  #sharing(): StreamsContext {
    const made = new Map<string, PageContent>();
    const content = (query: PageQuery): PageContent => {
      const key = writeQuery(query);
      const shared = made.get(key) ?? this.#context.content(query);
      made.set(key, shared);
      return shared;
    };
    return { ...this.#context, content };
  }
}

class Stream {
  readonly response: ServerResponse;
  readonly #query: PageQuery;
  /** What the browser shows, by element. */
  #shown = new Map<string, string>();
  #order = '';
  /** What there was to say of each, by element. */
  #said = new Map<string, string>();
  #seen = new Map<string, number>();

  constructor(response: ServerResponse, query: PageQuery) {
    this.response = response;
    this.#query = query;
  }

  /** alive: even if nothing is new, so that the browser knows that it still hears. */
  send(context: StreamsContext, why: 'news' | 'alive'): PageContent {
    const content = context.content(this.#query);
    const behind = this.response.writableLength;
    if (behind > 10 * BEHIND_BYTES) this.response.destroy();
    else if (behind <= BEHIND_BYTES) {
      const update = this.#update(content, context);
      if (why === 'alive' || isNews(update))
        this.response.write(`data: ${JSON.stringify(update)}\n\n`);
    }
    return content;
  }

  #update({ cards, summary, decisions, guards }: PageContent, context: StreamsContext): Update {
    const first = this.#shown.size === 0;
    const all = [summary, decisions, ...cards];
    const changed = all.filter(({ id, version }) => this.#shown.get(id) !== version);
    this.#shown = new Map(all.map(({ id, version }) => [id, version]));
    const ids = cards.map(({ id }) => id);
    const order = ids.join(' ');
    const moved = order !== this.#order;
    this.#order = order;
    return {
      parts: Object.fromEntries(changed.map(({ id, markup }) => [id, markup.toString()])),
      order: moved ? ids : null,
      seen: this.#times(guards.guards, cards, context),
      say: this.#news(all, first),
    };
  }

  /** Sentences that were not said before; of cards that have just come there is nothing to tell. */
  #news(all: readonly Fragment[], first: boolean): readonly string[] {
    const fresh = all.filter(({ id, spoken }) => {
      const before = this.#said.get(id);
      return before !== undefined && before !== spoken && spoken !== '';
    });
    this.#said = new Map(all.map(({ id, spoken }) => [id, spoken]));
    return first ? [] : atMost(fresh.map(({ spoken }) => spoken));
  }

  #times(
    guards: PageContent['guards']['guards'],
    cards: readonly Fragment[],
    { seen }: StreamsContext,
  ): Readonly<Record<string, string>> {
    const times: Record<string, string> = {};
    for (const [index, guard] of guards.entries()) {
      const at = seen(guard);
      const id = cards[index]?.id;
      if (at === null || id === undefined || this.#seen.get(id) === at) continue;
      this.#seen.set(id, at);
      times[id] = new Date(at).toISOString();
    }
    return times;
  }
}

function isNews({ parts, order, seen }: Update): boolean {
  return order !== null || Object.keys(parts).length > 0 || Object.keys(seen).length > 0;
}

/** Nobody can listen to more at a time. */
const MOST_SPOKEN = 4;

function atMost(sentences: readonly string[]): readonly string[] {
  if (sentences.length <= MOST_SPOKEN) return sentences;
  return [
    ...sentences.slice(0, MOST_SPOKEN),
    `and ${sentences.length - MOST_SPOKEN} more changes.`,
  ];
}
