/** A secret that stands in one place only, under the name that a failing test shows. */
export interface Planted {
  readonly name: string;
  readonly value: string;
}

/** The lines of a private key, which are its secret: what stands around them is in every key. */
export function plantedKey(name: string, pem: string): readonly Planted[] {
  return pem
    .split('\n')
    .filter((line) => line.length >= 24 && !line.startsWith('-----'))
    .map((value, nth) => ({ name: `${name}, line ${nth + 1}`, value }));
}

/** The names of those that occur in a text: as they are, or in a form that programs give to what they pass on. */
export function leaksIn(text: string, planted: readonly Planted[]): readonly string[] {
  return planted.flatMap(({ name, value }) => {
    const found = Object.entries(formsOf(value)).find(([, written]) =>
      written.some((one) => text.includes(one)),
    );
    return found === undefined ? [] : [`${name} (${found[0]})`];
  });
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function formsOf(value: string): Readonly<Record<string, readonly string[]>> {
  const encoded = [0, 1, 2].map((before) => base64Within(value, before));
  return {
    plain: [value],
    json: [JSON.stringify(value).slice(1, -1)],
    url: [
      encodeURIComponent(value),
      encodeURI(value),
      new URLSearchParams({ v: value }).toString().slice(2),
    ],
    html: [value.replaceAll(/[&<>"']/g, (one) => ENTITIES[one] ?? one)],
    base64: [...encoded, ...encoded.map((one) => one.replaceAll('+', '-').replaceAll('/', '_'))],
    hex: [Buffer.from(value).toString('hex'), Buffer.from(value).toString('hex').toUpperCase()],
  };
}

/** What of base64 stands for the value alone, with so many bytes before it (of three) and any after it. */
function base64Within(value: string, before: number): string {
  const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(value)]);
  const first = Math.ceil((before * 8) / 6);
  return bytes.toString('base64').slice(first, Math.floor((bytes.length * 8) / 6));
}
