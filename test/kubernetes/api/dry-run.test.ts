import { describe, expect, it } from 'vitest';
import { dryRunNotice } from '../../../src/admission/dry-run-notice.ts';
import { allowed, denied, errored } from '../../../src/admission/response.ts';

import { ApiError } from '../../../src/kubernetes/api/api.ts';
import type { Answer } from '../../../src/kubernetes/api/api-failure.ts';
import {
  dryRun,
  type DryRunAnswer,
  type DryRunRequest,
} from '../../../src/kubernetes/api/dry-run.ts';
import type { Call } from '../../../src/kubernetes/api/transport.ts';
import { REFUSED } from '../../harness/admission-webhook.ts';
import { status } from './fake-api-server.ts';

const POD: DryRunRequest = { namespace: 'shop', name: 'etcd-0', uid: 'u-1', operation: 'delete' };
const ASKED = { apiVersion: 'admission.k8s.io/v1', uid: 'r-1' } as const;

function answerOf(code: number, body: unknown, headers: Answer['headers'] = {}): Answer {
  return { status: code, headers, text: JSON.stringify(body) };
}

/** As the API server passes a webhook's refusal on. */
function refusedBy(review: ReturnType<typeof denied>): Answer {
  const { status: refusal } = review.response;
  if (refusal === undefined) throw new Error('it was allowed');
  return answerOf(refusal.code, {
    kind: 'Status',
    ...refusal,
    message: `${REFUSED}${refusal.message}`,
  });
}

async function asked(
  answer: Answer,
  request = POD,
  discovery: unknown = {},
): Promise<{ readonly heard: DryRunAnswer; readonly calls: readonly Call[] }> {
  const calls: Call[] = [];
  const heard = await dryRun(request, (call) => {
    calls.push(call);
    return Promise.resolve(call.method === 'GET' ? answerOf(200, discovery) : answer);
  });
  return { heard, calls };
}

async function said(answer: Answer): Promise<DryRunAnswer> {
  return (await asked(answer)).heard;
}

describe('a dry run through the API server', () => {
  it('says twice that it is one, and means one pod alone', async () => {
    const { calls } = await asked(answerOf(200, {}));
    expect(calls).toMatchObject([
      {
        method: 'DELETE',
        path: '/api/v1/namespaces/shop/pods/etcd-0?dryRun=All',
        body: { dryRun: ['All'], preconditions: { uid: 'u-1' } },
      },
    ]);
  });

  it.each([
    ['policy/v1', { resources: [{ name: 'pods/eviction', group: 'policy', version: 'v1' }] }],
    [
      'policy/v1beta1',
      { resources: [{ name: 'pods/eviction', group: 'policy', version: 'v1beta1' }] },
    ],
    ['policy/v1', 'nonsense'],
  ])('evicts by the version that the server has: %s', async (apiVersion, discovery) => {
    const { calls } = await asked(answerOf(201, {}), { ...POD, operation: 'eviction' }, discovery);
    expect(calls).toMatchObject([
      { method: 'GET', path: '/api/v1' },
      {
        method: 'POST',
        path: '/api/v1/namespaces/shop/pods/etcd-0/eviction?dryRun=All',
        body: {
          apiVersion,
          kind: 'Eviction',
          deleteOptions: { dryRun: ['All'], preconditions: { uid: 'u-1' } },
        },
      },
    ]);
  });

  it('reads what the guard refuses, with its reason and every word', async () => {
    const message = `etcd-0 leads ${'and leads '.repeat(100)}`.trim();
    for (const operation of ['delete', 'eviction'] as const) {
      const refusal = denied(ASKED, { operation, message, audit: { reason: 'LeaderProtected' } });
      expect(await said(refusedBy(refusal))).toStrictEqual({
        kind: 'refused',
        reason: 'LeaderProtected',
        message,
        warnings: [],
      });
    }
  });

  it('reads warnings, several of them and with quotes', async () => {
    const warning = '299 - "first, of two", 299 - "second \\"quoted\\" \\\\ one"';
    expect(await said(answerOf(200, {}, { warning }))).toStrictEqual({
      kind: 'allowed',
      warnings: ['first, of two', 'second "quoted" \\ one'],
      reason: null,
    });
  });

  it('tells what a guard has judged from what nobody has', async () => {
    const notice = dryRunNotice('etcd-0', 'Spared');
    const { warnings = [] } = allowed(ASKED, { warnings: [notice, 'one more'] }).response;
    const warning = warnings.map((text) => `299 - "${text}"`).join(', ');
    expect(await said(answerOf(200, {}, { warning }))).toStrictEqual({
      kind: 'allowed',
      warnings: ['one more'],
      reason: 'Spared',
    });
    const forged = '299 - "etcd-guard would let etcd-0 go (Gladly)."';
    expect(await said(answerOf(200, {}, { warning: forged }))).toMatchObject({ reason: null });
  });

  it('takes a pod whose name another has taken for gone', async () => {
    const message =
      'Operation cannot be fulfilled on Pod "etcd-0": the UID in the precondition (a) does not match the UID in record (b). The object might have been deleted and then recreated';
    const conflict = { kind: 'Status', code: 409, reason: 'Conflict', message };
    expect(await said(answerOf(409, conflict))).toStrictEqual({ kind: 'gone' });
    const other = answerOf(409, { ...conflict, message: 'try again' });
    await expect(said(other)).rejects.toMatchObject({ code: 'conflict' });
  });

  it('takes the guard’s own failure, and its absence, for no answer', async () => {
    expect(await said(refusedBy(errored(ASKED, 'it failed')))).toStrictEqual({
      kind: 'unanswered',
      message: 'it failed',
    });
    const message =
      'Internal error occurred: failed calling webhook "pods.etcd-guard.io": connection refused';
    expect(await said(answerOf(500, status(500, 'InternalError', { message })))).toStrictEqual({
      kind: 'unanswered',
      message,
    });
  });

  it('tells others who refuse from a right that is missing', async () => {
    const other = { kind: 'refused', reason: null, warnings: [] };
    const budget = {
      ...status(429, 'TooManyRequests', { message: 'would violate the disruption budget' }),
      details: { causes: [{ reason: 'DisruptionBudget', message: 'needs 3' }] },
    };
    expect(await said(answerOf(429, budget))).toMatchObject(other);
    const webhook = { message: 'admission webhook "other.io" denied the request: not today' };
    expect(await said(answerOf(403, status(403, 'Forbidden', webhook)))).toStrictEqual({
      ...other,
      message: 'not today',
    });
    const policy = { message: 'pods "etcd-0" is forbidden: policy \'floor\' denied request: no' };
    expect(await said(answerOf(422, status(422, 'Invalid', policy)))).toMatchObject(other);
    const right = {
      message:
        'pods "etcd-0" is forbidden: User "me" cannot delete resource "pods" in API group ""',
    };
    await expect(said(answerOf(403, status(403, 'Forbidden', right)))).rejects.toMatchObject({
      code: 'forbidden',
    });
  });

  it('knows a pod that has gone, and rejects whatever says nothing of it', async () => {
    const gone = status(404, 'NotFound', { name: 'etcd-0' });
    expect(await said(answerOf(404, gone))).toStrictEqual({ kind: 'gone' });
    for (const code of [401, 404, 409, 429, 503]) {
      await expect(said(answerOf(code, status(code, 'Other')))).rejects.toBeInstanceOf(ApiError);
    }
  });

  it('lets nothing through that a terminal would obey', async () => {
    const message = `${REFUSED}red \u001B[31malert\nnext line`;
    expect(await said(answerOf(403, status(403, 'Forbidden', { message })))).toMatchObject({
      message: 'red  [31malert next line',
    });
  });
});
