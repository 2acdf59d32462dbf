import { describe, expect, it } from 'vitest';

import { failureOf, failureOfLookUp } from '../../src/etcd/failure.ts';

const NO_CONNECTION = '14 UNAVAILABLE: No connection established. Last error: ';

describe('failureOf', () => {
  it('leaves nothing in a stranger’s words that a terminal would act on', () => {
    const said = '2 UNKNOWN: etcdserver: \u001b[2Jgone\r\n\u202etxt\ud800';
    expect(failureOf(new Error(said)).words).toBe('[2Jgone txt\ufffd');
    expect(failureOf(new Error(`2 UNKNOWN: ${'x'.repeat(1e6)}`)).words).toHaveLength(200);
  });

  // As etcd3 1.1.2 on grpc-js 1.14 words them.
  it.each([
    ['refused', 'permission denied', 'fine', '7 PERMISSION_DENIED: etcdserver: permission denied'],
    ['refused', 'user name is empty', 'fine', '3 INVALID_ARGUMENT: etcdserver: user name is empty'],
    ['refused', 'no leader', 'fine', '14 UNAVAILABLE: etcdserver: no leader'],
    ['refused', 'request timed out', 'fine', '14 UNAVAILABLE: etcdserver: request timed out'],
    ['refused', 'too many requests', 'fine', '8 RESOURCE_EXHAUSTED: etcdserver: too many requests'],
    ['refused', 'not leader', 'fine', '9 FAILED_PRECONDITION: etcdserver: not leader'],
    ['refused', 'unknown service X', 'fine', '12 UNIMPLEMENTED: unknown service X'],
    ['timeout', 'no answer in time', 'lost', '4 DEADLINE_EXCEEDED: Deadline exceeded after 1.502s'],
    ['unreachable', 'connection lost', 'lost', '14 UNAVAILABLE: Connection dropped'],
    ['unreachable', 'connection reset', 'lost', '14 UNAVAILABLE: read ECONNRESET'],
    [
      'unreachable',
      'connection reset',
      'lost',
      '13 INTERNAL: Received RST_STREAM with code 2 triggered by internal client error: write EPIPE',
    ],
    [
      'unreachable',
      'connection refused',
      'lost',
      `${NO_CONNECTION}Error: connect ECONNREFUSED 127.0.0.1:1. Resolution note: `,
    ],
    [
      'unreachable',
      'name does not resolve',
      'lost',
      '14 UNAVAILABLE: Name resolution failed for target dns:no-such.invalid:2379',
    ],
    [
      'refused',
      'the request could not be sent',
      'not-tried',
      '14 UNAVAILABLE: Channel closed before call started',
    ],
    [
      'refused',
      'the request could not be sent',
      'not-tried',
      `${NO_CONNECTION}null. Resolution note: `,
    ],
    [
      'refused',
      'it closed the connection at once (does it want TLS?)',
      'lost',
      `${NO_CONNECTION}Failed to connect (2026-11-21T09:07:15.372Z). Resolution note: `,
    ],
    [
      'refused',
      'TLS: it closed the connection during the handshake (does it speak TLS?)',
      'lost',
      `${NO_CONNECTION}Error: Client network socket disconnected before secure TLS connection was established. Resolution note: `,
    ],
    [
      'refused',
      "TLS: Hostname/IP does not match certificate's altnames: IP: 127.0.0.1 is not in the cert's list:",
      'lost',
      `${NO_CONNECTION}Error [ERR_TLS_CERT_ALTNAME_INVALID]: Hostname/IP does not match certificate's altnames: IP: 127.0.0.1 is not in the cert's list: . Resolution note: `,
    ],
    [
      'refused',
      'TLS: it answers without TLS',
      'lost',
      `${NO_CONNECTION}Error: 402DC5:error:0A00010B:SSL routines:tls_validate_record_header:wrong version number:../x.c:77:\n. Resolution note: `,
    ],
    [
      'refused',
      'TLS: it refuses our side (bad certificate)',
      'lost',
      `${NO_CONNECTION}Error: 409D25:error:0A000412:SSL routines:ssl3_read_bytes:ssl/tls alert bad certificate:../rec_layer_s3.c:918:SSL alert number 42\n. Resolution note: `,
    ],
    [
      'refused',
      'TLS: unable to verify the first certificate',
      'lost',
      `${NO_CONNECTION}Error: unable to verify the first certificate; if the root CA is installed locally, try running Node.js with --use-system-ca. Resolution note: `,
    ],
    [
      'refused',
      'it does not speak gRPC',
      'lost',
      `${NO_CONNECTION}Protocol error (2026-11-21T09:07:15.396Z). Resolution note: `,
    ],
    ['refused', 'Call cancelled', 'lost', '1 CANCELLED: Call cancelled'],
    ['refused', 'something new', 'fine', 'something new'],
  ])('%s: %s (%s)', (kind, words, connection, message) => {
    expect(failureOf(new Error(message))).toEqual({ kind, words, connection });
  });

  it('takes whatever is thrown', () => {
    expect(failureOf('x')).toEqual({ kind: 'refused', words: 'x', connection: 'fine' });
  });

  it('does not mistake an answer that mentions a broken connection for silence', () => {
    const answer = new Error('2 UNKNOWN: proxy: connect ECONNREFUSED');
    expect(failureOf(answer)).toMatchObject({ kind: 'refused' });
  });
});

describe('failureOfLookUp', () => {
  it.each([
    ['unreachable', 'ENOTFOUND', 'name does not resolve'],
    ['unreachable', 'EAI_AGAIN', 'name does not resolve (no name server answers)'],
    ['refused', 'EMFILE', 'name look-up failed: EMFILE'],
  ])('%s: %s', (kind, code, words) => {
    const error = Object.assign(new Error('getaddrinfo'), { code });
    expect(failureOfLookUp(error)).toMatchObject({ kind, words });
  });
});
