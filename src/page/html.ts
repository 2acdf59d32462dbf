/** Markup that needs no escaping any more; made by `html` and `trusted` only. */
export class Html {
  readonly #markup: string;

  constructor(markup: string) {
    this.#markup = markup;
  }

  toString(): string {
    return this.#markup;
  }
}

/** What may stand in a template; null, undefined and false stand for nothing. */
export type Part = Html | string | number | bigint | null | undefined | false | readonly Part[];

/** A template in which every value is text, unless it is markup itself; attributes need their quotes. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  const pieces = unindented(strings).map(
    (text, index) => text + (index < parts.length ? markupOf(parts[index]) : ''),
  );
  return new Html(pieces.join(''));
}

/** Of each template in the source once: how it is laid out there is half of what it would send. */
const known = new WeakMap<TemplateStringsArray, readonly string[]>();

function unindented(strings: TemplateStringsArray): readonly string[] {
  const before = known.get(strings);
  if (before !== undefined) return before;
  const shorter = strings.map((text) => text.replaceAll(/\n\s*/g, '\n'));
  known.set(strings, shorter);
  return shorter;
}

/** Markup that this program is made of; never anything that came from outside. */
export function trusted(markupOfOurs: string): Html {
  return new Html(markupOfOurs);
}

function markupOf(part: Part): string {
  if (part === null || part === undefined || part === false) return '';
  if (part instanceof Html) return part.toString();
  if (typeof part === 'object') return part.map(markupOf).join('');
  return escaped(String(part));
}

/** Neither a tag, nor the end of an attribute, nor what no document may hold. */
function escaped(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(/[^\P{Cc}\t\n\r]/gu, '\uFFFD')
    .replaceAll(/[&<>"'`]/g, (character) => `&#${character.charCodeAt(0)};`);
}
