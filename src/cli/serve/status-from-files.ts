import type { ClusterView } from '../../decision/cluster-view.ts';
import type { Guard } from '../../decision/situation.ts';
import { fileAcceptance, rivalsAmong } from '../../guards/file-rivals.ts';
import type { FileSource } from '../../guards/file-source.ts';
import { clusterStatus, unaskedStatus, withAcceptance } from '../../guards/guard-status.ts';
import type { GuardLook, GuardName, KnownGuard, Standing, StatusSource } from '../../page/port.ts';
import { standingOf } from '../../page/rows.ts';
import { namedPod } from '../judge-pod.ts';
import { lookAtGuard } from './look-at-guard.ts';

/** How each guard's cluster stood when anybody last looked: no more, since there may be thousands. */
export class Standings {
  readonly #seen = new WeakMap<Guard, Standing>();

  saw(guard: Guard, view: ClusterView): void {
    this.#seen.set(guard, standingOf(view));
  }

  of(guard: Guard): Standing {
    return this.#seen.get(guard) ?? 'unknown';
  }
}

/** The status page's view of guards from files. */
export class StatusFromFiles implements StatusSource {
  readonly looksPerSecond = 20;
  readonly #source: FileSource;
  readonly #standings: Standings;

  constructor(source: FileSource, standings: Standings) {
    this.#source = source;
    this.#standings = standings;
  }

  known(): readonly KnownGuard[] {
    const rivals = rivalsAmong(this.#source.guards);
    return this.#source.guards.map((one) => ({
      namespace: one.guard.namespace,
      name: one.guard.name,
      standing: rivals.has(one) ? 'trouble' : this.#standings.of(one.guard),
    }));
  }

  async look({ namespace, name }: GuardName): Promise<GuardLook | null> {
    const found = this.#source.guards.find(
      ({ guard }) => guard.namespace === namespace && guard.name === name,
    );
    if (found === undefined) return null;
    const cluster = found.clusterFor(null);
    return lookAtGuard({
      cluster,
      spec: found.loaded.document.spec,
      pods: cluster.pods.map((pod) => namedPod(namespace, pod.name)),
      // Files say nothing of namespaces and their labels.
      unprotected: null,
      statusOf: (seen, now) => {
        const status =
          seen === null
            ? unaskedStatus(cluster.fault ?? 'its etcd was not asked', now)
            : clusterStatus(seen.view, now, { pods: cluster.pods, answers: seen.answers });
        return withAcceptance(status, fileAcceptance(found, this.#source.guards), now);
      },
      source: this.#source,
    });
  }
}
