import { fieldOf } from '../admission/json.ts';
import type { Reply } from '../admission/response.ts';
import type { ReviewContext } from '../admission/review.ts';
import type { Attributes, Outcome, Tracing } from './port.ts';

type Handle = (review: unknown, at: ReviewContext) => Reply | Promise<Reply>;

/** Every review is a trace, named by what it asks for; the answer says how it came out. */
export function tracedReviews(handle: Handle, tracing: Tracing): Handle {
  return (review, at) => {
    const asked = askedBy(review);
    // While etcd is waited for, nothing may hold on to the review, which is large.
    let held: unknown = review;
    const work = async (): Promise<Reply> => {
      const taken = held;
      held = null;
      return handle(taken, at);
    };
    return tracing.request(
      `review ${String(asked['k8s.operation'] ?? 'unreadable')}`,
      work,
      (reply) => outcomeOf(reply, asked),
    );
  };
}

/** As it came, unchecked: whatever is no short text is left out. */
function askedBy(review: unknown): Attributes {
  const request = fieldOf(review, 'request');
  const operation = text(fieldOf(request, 'operation'));
  const subresource = text(fieldOf(request, 'subResource'));
  return present({
    'k8s.operation': subresource ?? operation?.toLowerCase() ?? null,
    'k8s.namespace.name': text(fieldOf(request, 'namespace')),
    'k8s.pod.name': text(fieldOf(request, 'name')),
    'k8s.review.uid': text(fieldOf(request, 'uid')),
    'k8s.dry_run': text(String(fieldOf(request, 'dryRun') === true)),
  });
}

function outcomeOf({ status, body }: Reply, asked: Attributes): Outcome {
  const response = fieldOf(body, 'response');
  const notes = fieldOf(response, 'auditAnnotations');
  const failure = fieldOf(fieldOf(response, 'status'), 'code') === 500;
  return {
    attributes: {
      ...asked,
      ...present({
        'etcd_guard.decision': text(fieldOf(notes, 'decision')),
        'etcd_guard.reason': text(fieldOf(notes, 'reason')),
        'etcd_guard.guard': text(fieldOf(notes, 'guard')),
        'etcd_guard.member': text(fieldOf(notes, 'member')),
      }),
      'http.response.status_code': status,
    },
    failed: failure || status >= 400,
  };
}

const LONGEST = 256;

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' && value.length <= LONGEST ? value : null;
}

function present(values: Readonly<Record<string, string | null>>): Attributes {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => (value === null ? [] : [[name, value]])),
  );
}
