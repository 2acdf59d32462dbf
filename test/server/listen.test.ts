import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { formatAddress, listenOn, parseListenAddress } from '../../src/server/listen.ts';

describe('parseListenAddress', () => {
  it.each([
    ['0.0.0.0:8443', { host: '0.0.0.0', port: 8443 }],
    [':8443', { host: null, port: 8443 }],
    ['[::]:8443', { host: '::', port: 8443 }],
    ['[::1]:0', { host: '::1', port: 0 }],
    ['localhost:65535', { host: 'localhost', port: 65535 }],
  ])('reads %s', (text, expected) => {
    expect(parseListenAddress(text)).toEqual(expected);
  });

  it.each(['', '8443', '::1:8443', 'localhost', 'localhost:', 'localhost:65536', 'a:b', '[]:1'])(
    'refuses %j',
    (text) => {
      expect(parseListenAddress(text)).toBeNull();
    },
  );
});

describe('formatAddress', () => {
  it('puts IPv6 in brackets', () => {
    expect(formatAddress({ host: '::1', port: 80 })).toBe('[::1]:80');
    expect(formatAddress({ host: '127.0.0.1', port: 80 })).toBe('127.0.0.1:80');
  });
});

describe('listenOn', () => {
  it('names an address that is in use, and one that is not ours', async () => {
    const [first, second] = [createServer(), createServer()];
    const bound = await listenOn(first, { host: '127.0.0.1', port: 0 });
    await expect(listenOn(second, bound)).rejects.toMatchObject({
      name: 'ServerError',
      code: 'address-in-use',
      message: `127.0.0.1:${bound.port} is already in use by another process`,
    });
    await expect(listenOn(second, { host: '192.0.2.1', port: 0 })).rejects.toMatchObject({
      code: 'address-unusable',
    });
    first.close();
  });
});
