import { describe, expect, it } from 'vitest';
import {
  allowed,
  denied,
  errored,
  malformedReply,
  patched,
  unusable,
} from '../../src/admission/response.ts';

const ASKED = { apiVersion: 'admission.k8s.io/v1', uid: 'u1' } as const;

describe('the response', () => {
  it('of an allow is the shortest there is', () => {
    expect(allowed(ASKED)).toEqual({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid: 'u1', allowed: true },
    });
  });

  it('carries warnings and audit annotations, in the version asked', () => {
    const audit = { decision: 'allow', reason: 'Spared', guard: 'default/etcd', member: '' };
    expect(
      allowed({ ...ASKED, apiVersion: 'admission.k8s.io/v1beta1' }, { warnings: ['last'], audit }),
    ).toEqual({
      apiVersion: 'admission.k8s.io/v1beta1',
      kind: 'AdmissionReview',
      response: {
        uid: 'u1',
        allowed: true,
        warnings: ['last'],
        auditAnnotations: { decision: 'allow', reason: 'Spared', guard: 'default/etcd' },
      },
    });
  });

  it('of a change carries a JSON Patch in base64, and none where nothing is changed', () => {
    const operations = [{ op: 'add', path: '/metadata/labels/a~1b', value: 'ü' }];
    const { response } = patched(ASKED, operations, { warnings: ['so'] });
    const { patch = '', ...rest } = response;
    expect(rest).toEqual({ uid: 'u1', allowed: true, warnings: ['so'], patchType: 'JSONPatch' });
    expect(JSON.parse(Buffer.from(patch, 'base64').toString())).toEqual(operations);
    expect(patched(ASKED, [], {})).toEqual(allowed(ASKED));
  });

  it('leaves out warnings and annotations that are empty', () => {
    expect(allowed(ASKED, { warnings: ['', ' \n'], audit: {} }).response).toEqual({
      uid: 'u1',
      allowed: true,
    });
  });

  it('of a denied DELETE is 403 Forbidden', () => {
    expect(denied(ASKED, { operation: 'delete', message: 'it leads' }).response).toEqual({
      uid: 'u1',
      allowed: false,
      status: { status: 'Failure', message: 'it leads', reason: 'Forbidden', code: 403 },
    });
  });

  it('of a denied eviction is 429 with a disruption budget as its cause', () => {
    const audit = { reason: 'LeaderProtected' };
    expect(denied(ASKED, { operation: 'eviction', message: 'it leads', audit }).response).toEqual({
      uid: 'u1',
      allowed: false,
      status: {
        status: 'Failure',
        message: 'it leads',
        reason: 'TooManyRequests',
        code: 429,
        details: {
          causes: [
            { reason: 'DisruptionBudget', message: 'it leads' },
            { reason: 'LeaderProtected' },
          ],
        },
      },
      auditAnnotations: { reason: 'LeaderProtected' },
    });
  });

  it('of our own failure and of an unusable request is not allowed either', () => {
    expect(errored(ASKED, 'the guard failed').response).toEqual({
      uid: 'u1',
      allowed: false,
      status: {
        status: 'Failure',
        message: 'the guard failed',
        reason: 'InternalError',
        code: 500,
      },
    });
    expect(unusable(ASKED, 'no pod').response).toEqual({
      uid: 'u1',
      allowed: false,
      status: { status: 'Failure', message: 'no pod', reason: 'BadRequest', code: 400 },
    });
    expect(malformedReply('no')).toEqual({ status: 400, body: { error: 'no' } });
  });
});

describe('a warning', () => {
  it('of 256 characters is whole, a longer one is cut and says so', () => {
    expect(warn('x'.repeat(256))).toEqual(['x'.repeat(256)]);
    expect(warn('x'.repeat(257))).toEqual([`${'x'.repeat(255)}…`]);
  });

  it('is never cut inside a character', () => {
    expect(warn(`${'x'.repeat(254)}😀😀`)).toEqual([`${'x'.repeat(254)}…`]);
  });

  it('is one line of well-formed text', () => {
    expect(warn('two\r\nlines\u0000and \ud800')).toEqual(['two lines and \ufffd']);
  });
});

function warn(text: string): readonly string[] | undefined {
  return allowed(ASKED, { warnings: [text] }).response.warnings;
}
