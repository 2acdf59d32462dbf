import type { Judgement } from '../admission/hearing.ts';
import type { ClusterView } from '../decision/cluster-view.ts';
import type { Guard, Reason } from '../decision/situation.ts';
import type { DryRunAnswer } from '../kubernetes/api/dry-run.ts';

/** What a dry run came to, whoever was asked. */
export interface Finding {
  readonly decision: 'allow' | 'deny';
  /** null: the API server let it pass, or refused it for a reason of its own. */
  readonly reason: Reason | null;
  readonly message: string;
  readonly warnings: readonly string[];
  readonly guard: Guard | null;
  /** null: etcd was not asked from here. */
  readonly view: ClusterView | null;
  readonly via: 'direct' | 'webhook';
}

/** By the webhook's own code, run here. */
export function judged({ verdict, guard, view }: Judgement): Finding {
  const { kind, reason, message, warnings } = verdict;
  return { decision: kind, reason, message, warnings, guard, view, via: 'direct' };
}

const NOT_ASKED =
  'its webhook is not registered, does not run and is registered to fail open, or is older than this program.';

/** What is known of a pod beforehand. */
export interface Expected {
  readonly guard: Guard | null;
  /** A guard selects it, or may: who lets it go has to say why. */
  readonly mustBeJudged: boolean;
}

/** By the API server and all of its webhooks. */
export function answered(
  answer: Exclude<DryRunAnswer, { kind: 'gone' }>,
  pod: string,
  { guard, mustBeJudged }: Expected,
): Finding {
  const common = { guard, view: null, via: 'webhook' } as const;
  switch (answer.kind) {
    case 'allowed': {
      const { reason, warnings } = answer;
      const message = `The API server and its webhooks would let ${pod} go.`;
      if (reason !== null || !mustBeJudged) {
        return { ...common, decision: 'allow', reason, message, warnings };
      }
      const nobody = `${message} But no etcd-guard has judged it: ${NOT_ASKED}`;
      return { ...common, decision: 'allow', reason: 'Unverifiable', message: nobody, warnings };
    }
    case 'refused': {
      const { reason, message, warnings } = answer;
      return { ...common, decision: 'deny', reason, message, warnings };
    }
    case 'unanswered': {
      const message = withAdvice(answer.message);
      return { ...common, decision: 'deny', reason: 'Unverifiable', message, warnings: [] };
    }
  }
}

const SERVICE = /https:\/\/(?<name>[-a-z0-9]+)\.(?<namespace>[-a-z0-9]+)\.svc\b/;

/** The API server names the service that it asked, and why in vain; what to look at it can't know. */
function withAdvice(message: string): string {
  const { name = 'etcd-guard', namespace = 'etcd-guard' } = SERVICE.exec(message)?.groups ?? {};
  const said = message.replace(/\.?$/, '.');
  if (/x509|certificate/.test(message)) {
    return `${said} Its certificate is not trusted: docs/operating.md, "Trouble with certificates", tells what to do.`;
  }
  const look = [
    `kubectl -n ${namespace} get pods`,
    `kubectl -n ${namespace} get endpoints ${name}`,
    `kubectl -n ${namespace} logs deploy/${name} --tail=50`,
  ];
  return `${said} What to look at: ${look.join('; ')}.`;
}

/** False: it rests on nobody having answered, which may be so only from here. */
export function isConclusive({ reason, view }: Finding): boolean {
  return reason !== 'Unverifiable' && !(view !== null && heardNobody(view));
}

/** Not one voter answered. */
export function heardNobody(view: ClusterView): boolean {
  return view.term === null;
}
