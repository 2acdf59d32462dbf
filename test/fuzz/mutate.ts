import type { Random } from './random.ts';

/** A JSON value. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const TEXTS: readonly string[] = [
  '',
  ' ',
  '0',
  'null',
  'true',
  '__proto__',
  'constructor',
  'etcd-0',
  'etcd-1',
  'default',
  'kube-system',
  'pods',
  'DELETE',
  'CREATE',
  'eviction',
  'v1',
  '\u0000',
  'a\nb\r\u001b[31mred',
  '\u202eetcd',
  '\ud800',
  'é',
  'e\u0301',
  '😀',
  'x'.repeat(300),
  '../../etc/passwd',
  '{pod}',
  '%s%n',
  '2026-01-01T00:00:00Z',
  '-1',
  '1e400',
];
const NUMBERS: readonly number[] = [
  0,
  -0,
  1,
  -1,
  0.5,
  30,
  2_379,
  65_535,
  65_536,
  2 ** 31,
  -(2 ** 31),
  2 ** 53,
  2 ** 64,
  1e308,
  -1e308,
];

/** Anything at all, mostly small. */
export function junk(random: Random, depth = 3): Json {
  switch (random.below(depth > 0 ? 8 : 5)) {
    case 0:
      return null;
    case 1:
      return random.oneIn(2);
    case 2:
      return random.pick(NUMBERS);
    case 3:
    case 4:
      return random.pick(TEXTS);
    case 5:
      return Array.from({ length: random.below(4) }, () => junk(random, depth - 1));
    case 6:
      return nested(random.pick([10, 100, 400]));
    default:
      return objectOf(
        Array.from({ length: random.below(4) }, () => [
          random.pick(TEXTS),
          junk(random, depth - 1),
        ]),
      );
  }
}

/** As JSON.parse makes it: `__proto__` is a key like any other. */
export function objectOf(entries: readonly (readonly [string, Json])[]): { [key: string]: Json } {
  const made: { [key: string]: Json } = {};
  for (const [key, value] of entries) {
    Object.defineProperty(made, key, {
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  }
  return made;
}

function nested(depth: number): Json {
  let value: Json = [];
  for (let level = 0; level < depth; level += 1) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}

interface Place {
  readonly holder: Json[] | { [key: string]: Json };
  readonly key: string | number;
}

/** Every place in the value that can hold something else; not inside of what is very deep. */
function placesIn(value: Json, into: Place[] = [], depth = 0): Place[] {
  if (typeof value !== 'object' || value === null || depth > 12) return into;
  const keys = Array.isArray(value) ? value.keys() : Object.keys(value);
  for (const key of keys) {
    into.push({ holder: value, key });
    placesIn(held({ holder: value, key }), into, depth + 1);
  }
  return into;
}

function held({ holder, key }: Place): Json {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a key that is there
  return (holder as { [key: string]: Json })[key] as Json;
}

function put({ holder, key }: Place, value: Json): void {
  Object.defineProperty(holder, key, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}

/** Changes a few things in the value, which is its caller's own; `words` are likely in this format. */
export function mutate(root: Json, random: Random, words: readonly Json[]): Json {
  const box: Json[] = [root];
  const times = 1 + random.below(random.oneIn(4) ? 8 : 2);
  for (let nth = 0; nth < times; nth += 1) {
    const places = placesIn(box);
    // The first is the whole.
    const inner = places.length === 1 || random.oneIn(20) ? places : places.slice(1);
    if (inner.length > 0) change(random.pick(inner), places, random, words);
  }
  return box[0] ?? null;
}

function change(
  place: Place,
  places: readonly Place[],
  random: Random,
  words: readonly Json[],
): void {
  const { holder, key } = place;
  switch (random.below(7)) {
    case 0:
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete holder[key];
      return;
    case 1:
      return put(place, junk(random));
    case 2:
      return put(place, structuredClone(random.pick(words)));
    case 3:
      return put(place, structuredClone(held(random.pick(places))));
    case 4:
      return addTo(held(place), random, words);
    case 5:
      return put(place, [held(place)]);
    default:
      return put(place, slightly(held(place), random));
  }
}

function addTo(value: Json, random: Random, words: readonly Json[]): void {
  if (typeof value !== 'object' || value === null) return;
  const added = random.oneIn(2) ? structuredClone(random.pick(words)) : junk(random);
  if (Array.isArray(value)) value.push(added);
  else
    put(
      {
        holder: value,
        key: random.pick([...TEXTS, ...words.filter((word) => typeof word === 'string')]),
      },
      added,
    );
}

/** Another value of the same kind. */
function slightly(value: Json, random: Random): Json {
  if (typeof value === 'number') return random.pick([-value, value + 1, value * 1e9, value / 3]);
  if (typeof value === 'boolean') return !value;
  if (typeof value !== 'string') return 'object';
  const at = random.below(value.length + 1);
  return random.pick([
    `${value.slice(0, at)}${random.pick(TEXTS)}${value.slice(at)}`,
    value.slice(0, at),
    value.toUpperCase(),
    ` ${value}`,
    Number(value),
  ]);
}

/** Changes bytes of a text, as a broken line or a careless editor would. */
export function garble(text: string, random: Random): string {
  let garbled = text;
  for (let nth = 0; nth <= random.below(3); nth += 1) {
    const at = random.below(garbled.length + 1);
    const end = at + random.below(random.oneIn(8) ? garbled.length - at + 1 : 6);
    const pieces = [
      '',
      ...'{ } [ ] " : , - & * ! | > # % @ ` \t \n \0'.split(' '),
      ' ',
      garbled.slice(at, end).repeat(2),
      '&a [*a]',
      '<<: *a',
    ];
    garbled = garbled.slice(0, at) + random.pick(pieces) + garbled.slice(end);
  }
  return garbled;
}
