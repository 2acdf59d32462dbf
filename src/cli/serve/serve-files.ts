import { problemText } from '../../guards/document.ts';
import { loadGuardFiles, type LoadedGuard } from '../../guards/file-guards.ts';
import { FileSource } from '../../guards/file-source.ts';
import { followGuardFiles } from '../../guards/follow.ts';
import { refreshClusters } from '../../guards/refresh.ts';
import { activeOfThisProcess } from '../../sharing/active.ts';
import { Standings, StatusFromFiles } from './status-from-files.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { GuardLabels, Recorder } from '../../telemetry/recorder.ts';
import { UsageError, type Backend } from '../backend.ts';
import type { Traces } from './keep-traces.ts';

/** What guards from files need. */
export interface FilesContext {
  readonly traces: Pick<Traces, 'connect'>;
  readonly recorder: Recorder;
  readonly log: Logger;
}

/** Guards from files, which are followed; throws a UsageError that names every problem. */
export async function openGuardFiles(
  files: readonly string[],
  context: FilesContext,
): Promise<Backend> {
  const loaded = await loadGuardFiles(files);
  if (loaded.problems !== undefined) throw new UsageError(loaded.problems.map(problemText));
  const { guards } = loaded;
  const standings = new Standings();
  const source = guardSource(guards, { ...context, standings });
  return {
    source,
    status: new StatusFromFiles(source, standings),
    // Events need an API to be kept in; the log says the same.
    announce: () => undefined,
    start() {
      const running = [
        refreshClusters(source),
        followGuards(files, guards, { ...context, source }),
      ];
      return {
        stop: () => {
          for (const one of running) one.stop();
        },
      };
    },
    close: () => source.close(),
  };
}

function guardSource(
  guards: readonly LoadedGuard[],
  { recorder, traces, standings }: FilesContext & { readonly standings: Standings },
): FileSource {
  const source = new FileSource(guards, {
    connect: (settings) => traces.connect(settings, recorder),
    monotonicMs: () => performance.now(),
    activeMs: activeOfThisProcess,
    viewed(guard, view) {
      recorder.cluster({ namespace: guard.namespace, guard: guard.name }, view);
      standings.saw(guard, view);
    },
  });
  recorder.readAtScrape(() =>
    source.guards.map(({ guard, ledger, loaded }) => ({
      namespace: guard.namespace,
      guard: guard.name,
      reservations: ledger.size,
      pods: Object.keys(loaded.document.spec.members.addresses).length,
    })),
  );
  for (const one of guards) recorder.addGuard(labelsOf(one));
  recorder.keepsStatus(true);
  return source;
}

function labelsOf({ document: { metadata } }: LoadedGuard): GuardLabels {
  return { namespace: metadata.namespace, guard: metadata.name };
}

function followGuards(
  files: readonly string[],
  initial: readonly LoadedGuard[],
  { source, recorder, log }: FilesContext & { readonly source: FileSource },
): { stop(): void } {
  let known = initial.map(labelsOf);
  return followGuardFiles(files, initial, {
    onLoaded(guards) {
      source.replace(guards);
      const now = guards.map(labelsOf);
      for (const labels of now) recorder.addGuard(labels);
      for (const labels of known.filter((one) => !now.some((other) => same(one, other)))) {
        recorder.removeGuard(labels);
      }
      known = now;
      log.info({ guards: now.length }, 'guards reloaded');
    },
    onBroken(problems) {
      recorder.reloadFailed('guards');
      log.error(
        { problems: problems.map(problemText) },
        'the new guard files are unusable: keeping the old ones',
      );
    },
  });
}

function same(a: GuardLabels, b: GuardLabels): boolean {
  return a.namespace === b.namespace && a.guard === b.guard;
}
