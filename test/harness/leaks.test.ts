import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { leaksIn, plantedKey } from './leaks.ts';

const PASSWORD = { name: 'password', value: 'CANARY-p@ss/w+rd=<1>"&' };

describe('what leaks', () => {
  it.each<[string, string, readonly string[]]>([
    ['plain', `user root:${PASSWORD.value}@host`, ['password (plain)']],
    ['in JSON', JSON.stringify({ a: `x${PASSWORD.value}` }), ['password (json)']],
    ['in a URL', `https://root:${encodeURIComponent(PASSWORD.value)}@host`, ['password (url)']],
    ['in a form', new URLSearchParams({ p: PASSWORD.value }).toString(), ['password (url)']],
    ['in a page', '<b>CANARY-p@ss/w+rd=&lt;1&gt;&quot;&amp;</b>', ['password (html)']],
    ['in hex', Buffer.from(`a${PASSWORD.value}`).toString('hex'), ['password (hex)']],
    ...['', 'r', 'ro', 'root:'].map((before): [string, string, readonly string[]] => [
      `in base64 behind '${before}'`,
      Buffer.from(`${before}${PASSWORD.value} and more`).toString('base64'),
      ['password (base64)'],
    ]),
    ['not', 'CANARY-p@ss', []],
  ])('is found %s', (_where, text, found) => {
    expect(leaksIn(text, [PASSWORD])).toEqual(found);
  });

  it('is any line of a private key, whole or in the base64 of the whole file', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pem = String(privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const planted = plantedKey('key', pem);
    expect(planted.length).toBeGreaterThan(1);
    expect(leaksIn(pem, planted)).toHaveLength(planted.length);
    const data = Buffer.from(pem).toString('base64');
    expect(leaksIn(data, planted)).toEqual(planted.map(({ name }) => `${name} (base64)`));
    expect(leaksIn(pem.replaceAll(/[A-Za-z0-9+/]{24,}/g, ''), planted)).toEqual([]);
  });
});
