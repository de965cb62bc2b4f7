/** Records as a description has them: each of its paths has a value of its column's type, and there is more than it says. */
import type { Description } from '../../source/description.ts';
import type { KeyPath } from '../../source/kinds.ts';
import { eventTimes } from '../data/event-times.ts';
import { fraction, hash32, purposeSeed, uuidText } from '../data/random.ts';
import type { SimulatorSettings } from '../settings.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = Readonly<Record<string, Json>>;

export interface DescribedRecord {
  readonly json: JsonObject;
  /** As the record shows it; microseconds since 1970. */
  readonly micros: number;
}

const WORDS = ['plain', 'naïve café', '日本語', '🙂', 'two\nlines', '"quoted"', 'back\\slash', ''];
const FIRST_NUMBER = 1_000;

/** In the order of the list. */
export function describedRecords(description: Description, settings: SimulatorSettings): DescribedRecord[] {
  const newestFirst = timesOf(description, settings).map((micros, rank) => ({
    json: recordOf(description, settings, micros, settings.events - rank),
    micros,
  }));
  return description.order === 'newest-first' ? newestFirst : newestFirst.reverse();
}

/** Newest first, in whole steps of the description's granularity; each other where the time is the id. */
function timesOf({ time, id }: Description, settings: SimulatorSettings): number[] {
  const stepMicros = Math.max(1, Math.round((time?.granularity ?? 1) * 1_000));
  const isId = time !== undefined && id !== undefined && isSame(time.path, id);
  const newest = Math.floor((settings.newest * 1_000) / stepMicros);
  if (isId) return Array.from({ length: settings.events }, (_, rank) => (newest - 7 * rank) * stepMicros);
  return [...eventTimes(settings)].map((ms) => Math.floor((ms * 1_000) / stepMicros) * stepMicros);
}

function recordOf(description: Description, { seed }: SimulatorSettings, micros: number, number: number): JsonObject {
  const { id, time, version, columns } = description;
  const draws = purposeSeed(seed, 'record');
  const isId = (path: KeyPath): boolean => id !== undefined && isSame(path, id);
  let record: JsonObject = { simulated: { number, share: fraction(draws, number) } };
  for (const { path, type } of Object.values(columns)) {
    if (!isId(path)) record = withValue(record, path, valueOf(type, draws, number, micros));
  }
  if (version !== undefined) record = withValue(record, version, isoText(micros));
  if (time !== undefined) record = withValue(record, time.path, timeValue(time.format, micros, isId(time.path)));
  if (id === undefined || (time !== undefined && isId(time.path))) return record;
  const idType = columns['id']?.type ?? 'text';
  return withValue(
    record,
    id,
    idType === 'bigint' ? FIRST_NUMBER + number : idType === 'uuid' ? uuidText(draws, number) : `record-${number}`,
  );
}

function valueOf(type: Description['columns'][string]['type'], draws: number, number: number, micros: number): Json {
  const drawn = hash32(draws, number);
  switch (type) {
    case 'text':
      return WORDS[drawn % WORDS.length] ?? null;
    case 'uuid':
      return uuidText(draws, drawn);
    case 'bigint':
      return drawn;
    case 'numeric':
      return drawn / 1_000;
    case 'boolean':
      return drawn % 2 === 0;
    case 'timestamptz':
      return isoText(micros);
    case 'jsonb':
      return drawn % 5 === 0 ? [] : [{ n: drawn, text: WORDS[drawn % WORDS.length] ?? null }];
  }
}

function timeValue(format: 'iso' | 's' | 'ms', micros: number, isText: boolean): Json {
  if (format === 'iso') return isoText(micros);
  const text = digitsOf(micros, format === 's' ? 6 : 3);
  return isText ? text : Number(text);
}

/** @param digits of the fraction, in microseconds */
function digitsOf(micros: number, digits: number): string {
  const whole = String(micros).padStart(digits + 1, '0');
  const fractionText = whole.slice(-digits);
  return /^0+$/.test(fractionText) ? whole.slice(0, -digits) : `${whole.slice(0, -digits)}.${fractionText}`;
}

function isoText(micros: number): string {
  const text = new Date(Math.floor(micros / 1_000)).toISOString();
  return micros % 1_000 === 0 ? text : text.replace('Z', `${String(micros % 1_000).padStart(3, '0')}Z`);
}

/** Objects on the way that are not there yet are made. */
export function withValue(object: JsonObject, [key = '', ...rest]: KeyPath, value: Json): JsonObject {
  if (rest.length === 0) return { ...object, [key]: value };
  const inner = object[key];
  return { ...object, [key]: withValue(isJsonObject(inner) ? inner : {}, rest, value) };
}

export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSame(one: KeyPath, other: KeyPath): boolean {
  return one.length === other.length && one.every((key, index) => key === other[index]);
}
