/**
 * What must have become of the events of a source, by their bytes and by JSON.parse alone; it shares no code with the program.
 *
 * An event that is as it was is a row with its values. One that is damaged is the row that JSON.parse reads from its bytes, or an
 * anomaly with its bytes. Nothing else is in the table. White space and commas around an event are the list's, not the event's;
 * and where damage has made a list of several values of an event, each of them is an event.
 */
import { isUtf8 } from 'node:buffer';
import { isDeepStrictEqual } from 'node:util';
import type { SourceEvent } from './damaged-events.ts';

/** What is compared of a row; `properties` as JSON text. */
export interface StoredRow {
  readonly id: string;
  readonly name: string | null;
  readonly type: string | null;
  readonly properties: string | null;
  readonly deviceType: string | null;
}

export interface SetAside {
  readonly kind: 'rejected' | 'repaired';
  readonly original: Buffer;
}

type Json = Readonly<Record<string, unknown>>;

/** @returns what is wrong, a sentence each */
export function breachesOf(
  events: readonly SourceEvent[],
  rows: readonly StoredRow[],
  anomalies: readonly SetAside[],
): string[] {
  const wrong: string[] = [];
  const left = new Map<string, StoredRow[]>();
  for (const row of rows) left.set(row.id, [...(left.get(row.id) ?? []), row]);
  const kinds = new Map<string, Set<SetAside['kind']>>();
  for (const { kind, original } of anomalies) {
    const key = keyOf(original);
    kinds.set(key, (kinds.get(key) ?? new Set()).add(kind));
  }
  const takeRow = (expected: StoredRow): boolean => {
    const candidates = left.get(expected.id) ?? [];
    const at = candidates.findIndex((row) => isSameRow(row, expected));
    if (at !== -1) candidates.splice(at, 1);
    return at !== -1;
  };
  const told = new Set<string>();
  for (const { bytes, isDamaged } of events.flatMap(valuesOf)) {
    const key = keyOf(bytes);
    const kind = kinds.get(key);
    if (kind !== undefined) told.add(key);
    const shown = `${isDamaged ? 'the damaged' : 'the'} event ${excerptOf(bytes)}`;
    if (!isDamaged && kind?.has('rejected') === true) wrong.push(`${shown} is set aside, though it is as it was`);
    if (kind?.has('rejected') === true) continue;
    const expected = rowOf(kind === undefined ? bytes : withControlsEscaped(bytes));
    if (expected === null) wrong.push(`${shown} is neither a row nor rejected`);
    else if (!takeRow(expected)) wrong.push(`${shown} is not the row ${JSON.stringify(expected)}`);
  }
  for (const rest of left.values()) {
    for (const row of rest) wrong.push(`the row ${JSON.stringify(row)} is no event's`);
  }
  for (const key of kinds.keys()) {
    if (!told.has(key)) wrong.push(`an anomaly has the bytes of no event: ${excerptOf(Buffer.from(key, 'latin1'))}`);
  }
  return wrong;
}

function keyOf(bytes: Buffer): string {
  return withoutEdges(bytes).toString('latin1');
}

function withoutEdges(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString('latin1').replaceAll(/^[ \t\r\n,]+|[ \t\r\n,]+$/g, ''), 'latin1');
}

/** The values that the bytes of an event are in a list: itself, nearly always. */
function valuesOf({ bytes, isDamaged }: SourceEvent): SourceEvent[] {
  const whole = { bytes: withoutEdges(bytes), isDamaged };
  if (!isDamaged || isJson(whole.bytes) || !isJson(Buffer.concat([OPEN, whole.bytes, CLOSE]))) return [whole];
  for (let at = whole.bytes.indexOf(','); at !== -1; at = whole.bytes.indexOf(',', at + 1)) {
    const first = { bytes: whole.bytes.subarray(0, at), isDamaged };
    if (isJson(first.bytes)) return [first, ...valuesOf({ bytes: whole.bytes.subarray(at + 1), isDamaged })];
  }
  return [whole];
}

const OPEN = Buffer.from('[');
const CLOSE = Buffer.from(']');

function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString('utf8'));
    return isUtf8(bytes);
  } catch {
    return false;
  }
}

/** The row that JSON.parse reads from an event; `null` when it is none, or has no id. */
function rowOf(bytes: Buffer): StoredRow | null {
  if (!isUtf8(bytes)) return null;
  let event: unknown;
  try {
    event = JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
  if (!isObject(event)) return null;
  const id = ['id', 'eventId', 'event_id']
    .map((key) => event[key])
    .find((value) => value !== undefined && value !== null);
  if (typeof id !== 'string' && typeof id !== 'number') return null;
  const session = isObject(event['session']) ? event['session'] : {};
  const type = ['type', 'eventType', 'event_type']
    .map((key) => event[key])
    .find((value) => value !== undefined && value !== null);
  return {
    id: String(id),
    name: textOf(event['name']),
    type: textOf(type),
    properties: event['properties'] === undefined ? null : JSON.stringify(storable(event['properties'])),
    deviceType: textOf(session['deviceType']),
  };
}

function isSameRow(row: StoredRow, expected: StoredRow): boolean {
  const { properties, ...texts } = row;
  const { properties: expectedProperties, ...expectedTexts } = expected;
  if (!isDeepStrictEqual(texts, expectedTexts)) return false;
  if (properties === null || expectedProperties === null) return properties === expectedProperties;
  return isDeepStrictEqual(JSON.parse(properties), JSON.parse(expectedProperties));
}

/** What PostgreSQL cannot hold becomes U+FFFD. */
function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value.replaceAll(/\0|\p{Surrogate}/gu, '\ufffd') : null;
}

function storable(value: unknown): unknown {
  if (typeof value === 'string') return textOf(value);
  if (Array.isArray(value)) return value.map(storable);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [textOf(key) ?? '', storable(member)]));
}

/** Control characters as JSON wants them, where they stand in strings. */
function withControlsEscaped(bytes: Buffer): Buffer {
  let inString = false;
  let isEscaped = false;
  const escaped: string[] = [];
  for (const byte of withoutEdges(bytes)) {
    const character = String.fromCharCode(byte);
    const isControl = inString && byte < 0x20;
    escaped.push(isControl ? `\\u${byte.toString(16).padStart(4, '0')}` : character);
    if (character === '"' && !isEscaped) inString = !inString;
    isEscaped = inString && character === '\\' && !isEscaped;
  }
  return Buffer.from(escaped.join(''), 'latin1');
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function excerptOf(bytes: Buffer): string {
  return JSON.stringify(bytes.toString('latin1')).slice(0, 600);
}
