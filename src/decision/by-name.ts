/** etcd-9 before etcd-10: the order of `Intl.Collator`, whose tables would stay in memory. */
export function byName(a: string, b: string): number {
  let at = 0;
  let bt = 0;
  while (at < a.length && bt < b.length) {
    const first = digitsAt(a, at);
    const second = digitsAt(b, bt);
    if (first === '' || second === '') {
      const order = a.charCodeAt(at) - b.charCodeAt(bt);
      if (order !== 0) return order;
    } else {
      const order = byNumber(first, second);
      if (order !== 0) return order;
    }
    at += first.length || 1;
    bt += second.length || 1;
  }
  return a.length - at - (b.length - bt);
}

function digitsAt(text: string, from: number): string {
  let to = from;
  while (isDigit(text.charCodeAt(to))) to += 1;
  return to === from ? '' : text.slice(from, to);
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

/** Of any length: names may hold a date and a time. */
function byNumber(a: string, b: string): number {
  const first = a.replace(/^0+/, '');
  const second = b.replace(/^0+/, '');
  if (first.length !== second.length) return first.length - second.length;
  if (first === second) return 0;
  return first < second ? -1 : 1;
}
