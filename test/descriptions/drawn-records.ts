/** The records of a case, made from its words: whatever stands at a path of the description, and much that no word speaks of. */
import { Digits, Draws, type Json, type JsonObject } from '../support/vendors/vendor.ts';
import type { Case, ColumnType, Path } from './drawn-case.ts';
import { stepOf, writeTime } from './times.ts';

/** Long ago, so that what is added later is not in the future either. */
const FIRST_US = Date.UTC(2026, 2, 1) * 1_000;
const WORDS = [
  '',
  'naïve café',
  '日本語',
  '🙂 zażółć',
  'line\nbreak',
  '"quoted" \\ back',
  '\u2028',
  'null',
  '1e5',
  "'; --",
  'x'.repeat(300),
];
const NO_RECORDS: readonly Json[] = [null, 5, 'text', [], [{ id: 1 }]];
const NO_TIMES: readonly Json[] = [true, 'soon', '', { at: 'noon' }];
const MANY_DIGITS = [
  '9007199254740993',
  '-0.1',
  '1e+21',
  '1.5e-7',
  '123456789012345678901234567890',
  '0.1000',
  '-9223372036854775808',
];

export interface DrawnRecord {
  readonly n: number;
  /** As a request would name it; `null` where the description names no id. */
  readonly id: string | null;
  /** `null`: it has none. */
  readonly timeUs: number | null;
  readonly json: Json;
  /** It cannot be a row. */
  readonly isJunk: boolean;
}

/** @param version rises with each change of the record */
export function drawnRecord(
  { salt, words, data }: Case,
  n: number,
  { timeUs, version }: { timeUs: number | null; version: number },
): DrawnRecord {
  const source = words.id === undefined && data.equalEvery > 0 && n % data.equalEvery === 0 ? Math.max(0, n - 1) : n;
  const isJunk = isEvery(data.junkEvery, n);
  if (isJunk && words.time === undefined && n % 2 === 0)
    return { n, id: null, timeUs, json: NO_RECORDS[n % NO_RECORDS.length] ?? null, isJunk };
  const draws = new Draws(salt * 7_919 + source * 101 + version * 13);
  const id = words.id === undefined || isJunk ? null : idOf(data.ids, salt, n);
  const members: [Path, Json][] = [];
  for (const { path, type } of Object.values(words.columns ?? {})) {
    if ([words.id, words.time?.path, words.version].some((other) => other !== undefined && isWithin(other, path)))
      continue;
    if (draws.chance(0.85)) members.push([path, valueFor(type, draws)]);
  }
  for (let more = draws.below(4); more > 0; more -= 1) members.push([[`x_${draws.hex(1)}`], anything(draws, 3)]);
  // So that only those are equal that are to be.
  if (words.id === undefined) members.push([['n'], source]);
  if (words.id !== undefined && id !== null) members.push([words.id, id]);
  else if (words.id !== undefined && n % 3 > 0) members.push([words.id, n % 3 === 1 ? null : { no: 'id' }]);
  const { time, version: versioned } = words;
  if (versioned !== undefined && !isAt(versioned, time?.path)) members.push([versioned, version]);
  if (time !== undefined && timeUs !== null) members.push([time.path, writeTime(timeUs, time, data)]);
  else if (time !== undefined && draws.chance(0.5)) members.push([time.path, null]);
  if (draws.chance(0.5)) members.reverse();
  const json = members.reduce<JsonObject>((whole, [path, value]) => withMember(whole, path, value), {});
  return {
    n,
    id: id === null ? null : typeof id === 'string' ? id : id.text,
    timeUs,
    json,
    isJunk: isJunk && words.id !== undefined,
  };
}

/** When the n-th record was made. */
export function timeOf({ words, data }: Case, n: number): number | null {
  if (words.time === undefined) return null;
  if (isEvery(data.noTimeEvery, n)) return null;
  const instant = Math.floor(n / data.perInstant) * data.gap * stepOf(words.time);
  return FIRST_US + instant + (data.isFiner ? (n % 7) * Math.floor(stepOf(words.time) / 8) : 0);
}

function isEvery(every: number, n: number): boolean {
  return every > 0 && n % every === every - 1;
}

function idOf(ids: Case['data']['ids'], salt: number, n: number): string | Digits {
  // Neither in the order of the list, nor of one length.
  const mixed = (n * 7_919 + salt) % 100_003;
  switch (ids) {
    case 'number':
      return new Digits(String(mixed + 1));
    case 'big-number':
      return new Digits(String(9_000_000_000_000_000_000n + BigInt(mixed)));
    case 'digits':
      return String(900_000_000_000_000_000n + BigInt(mixed));
    case 'text':
      return `k_${mixed.toString(36)}/${n}`;
    case 'unicode':
      return `ключ ${mixed}+%&=?🙂${n}`;
    case 'uuid':
      return new Draws(salt * 31 + n).uuid();
  }
}

function valueFor(type: ColumnType, draws: Draws): Json {
  // Nulls, and what does not fit the column.
  if (draws.chance(0.1)) return null;
  // Any number is some time.
  if (draws.chance(0.08)) return type === 'timestamptz' ? draws.pick(NO_TIMES) : anything(draws, 2);
  switch (type) {
    case 'text':
      return draws.pick(WORDS);
    case 'uuid':
      return draws.uuid();
    case 'bigint':
      return draws.chance(0.2) ? new Digits(draws.pick(MANY_DIGITS)) : draws.below(2 ** 31);
    case 'numeric':
      return draws.chance(0.5) ? new Digits(draws.pick(MANY_DIGITS)) : draws.below(1_000) / 8;
    case 'boolean':
      return draws.chance(0.5);
    case 'timestamptz':
      return new Date(FIRST_US / 1_000 + draws.below(2 ** 31)).toISOString();
    case 'jsonb':
      return anything(draws, 3);
  }
}

function anything(draws: Draws, depth: number): Json {
  switch (draws.below(depth > 0 ? 8 : 6)) {
    case 0:
      return null;
    case 1:
      return draws.chance(0.5);
    case 2:
      return draws.below(1_000);
    case 3:
      return new Digits(draws.pick(MANY_DIGITS));
    case 6:
      return Array.from({ length: draws.below(3) }, () => anything(draws, depth - 1));
    case 7:
      return Object.fromEntries(
        Array.from({ length: draws.below(3) }, (): [string, Json] => [
          draws.pick(['a', 'ключ', 'id', 'next', 'data']),
          anything(draws, depth - 1),
        ]),
      );
    default:
      return draws.pick(WORDS);
  }
}

/** A column can show an object that has the id in it. */
function isWithin(path: Path, outer: Path): boolean {
  return outer.every((key, index) => path[index] === key);
}

export function isAt(path: Path, other: Path | undefined): boolean {
  return path.join('\n') === other?.join('\n');
}

/** An object on the way that is not there is made; what is no object gives way. */
export function withMember(object: JsonObject, [key = '', ...rest]: Path, value: Json): JsonObject {
  if (rest.length === 0) return { ...object, [key]: value };
  const inner = object[key];
  return { ...object, [key]: withMember(isObject(inner) ? inner : {}, rest, value) };
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Digits);
}

/** `undefined` where the path leads nowhere. */
export function memberAt(json: Json | undefined, path: Path): Json | undefined {
  let value = json;
  for (const key of path) value = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  return value;
}
