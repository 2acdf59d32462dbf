import { buildProgram } from '../test/harness/built-program.ts';
import type { Options } from './options.ts';
import type { Processors } from './placement.ts';
import { ETCD_TIMES, setStage, SHOTS, type Stage } from './stage.ts';

/** What the parts share. */
export class Bench {
  readonly options: Options;
  readonly processors: Processors;
  readonly #started: Stage[] = [];
  #common: Promise<Stage> | null = null;
  #built: ReturnType<typeof buildProgram> | null = null;

  constructor(options: Options, processors: Processors) {
    this.options = options;
    this.processors = processors;
  }

  progress(line: string): void {
    process.stderr.write(`${line}\n`);
  }

  /** The one of three members that most parts use, warmed up. */
  stage(): Promise<Stage> {
    this.#common ??= this.newStage(3).then(async (stage) => {
      await this.warmUp(stage);
      return stage;
    });
    return this.#common;
  }

  /** One of a part's own, which the part should stop. */
  async newStage(members: number): Promise<Stage> {
    const { processors } = this;
    if (this.#built === null) this.progress('building');
    this.#built ??= buildProgram();
    const { program: main } = await this.#built;
    const progress = (line: string): void => this.progress(line);
    const stage = await setStage({ main, members, processors, progress });
    this.#started.push(stage);
    return stage;
  }

  /** Everything once at full speed, until V8 has compiled what it will compile. */
  async warmUp(stage: Stage): Promise<void> {
    const ms = this.options.lengths.warmUpMs;
    this.progress('warming up');
    const spared = (await stage.etcd.followers()).length > 1;
    for (const name of SHOTS) {
      if (name === 'spared' && !spared) continue;
      await stage.load.rate([name], { connections: 32, ms });
      await stage.load.rate([name], { connections: 1, ms: ms / 4 });
    }
    for (const kind of ETCD_TIMES) await stage.etcdTimes(kind, { ms });
  }

  async stop(): Promise<void> {
    for (const stage of this.#started) await stage.stop();
    await (await this.#built)?.remove();
  }
}
