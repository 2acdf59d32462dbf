import { X509Certificate } from 'node:crypto';

/**
 * Throws unless every certificate in the PEM text can be read and there is one: OpenSSL passes over
 * what it can't read in a list of authorities, and then trusts nobody.
 */
export function checkAuthorities(pem: string): void {
  const blocks = pem.match(
    /-----BEGIN (?:(?:TRUSTED|X509) )?CERTIFICATE-----.*?-----END [^-]*-----/gs,
  );
  if (blocks === null) throw new Error('it holds no certificate');
  for (const block of blocks) void new X509Certificate(block);
}

/**
 * A name or password without the newline that editors, `echo` and `kubectl create secret --from-file`
 * leave at the end of it.
 */
export function lineIn(content: Buffer): string {
  return content.toString('utf8').replace(/\r?\n$/, '');
}
