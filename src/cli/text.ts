/** The text in lines of at most that width, broken at blanks or behind `-`, `.`, `/` where there are any. */
export function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let rest = text;
  // Terminals can be of any width, and a line of no letters would never end.
  const most = Math.max(1, width);
  while (rest.length > most) {
    const at = breakBefore(rest, most);
    lines.push(rest.slice(0, at).trimEnd());
    rest = rest.slice(at).trimStart();
  }
  return [...lines, rest];
}

function breakBefore(text: string, width: number): number {
  const blank = text.lastIndexOf(' ', width);
  if (blank > 0) return blank;
  const within = text.slice(0, width);
  const at = Math.max(...['-', '.', '/'].map((mark) => within.lastIndexOf(mark))) + 1;
  // A short first line would be a waste.
  return at > width / 2 ? at : width;
}

/** Texts from outside must not break the line or reach a terminal as control codes. */
export function plain(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ');
}
