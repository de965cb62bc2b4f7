/**
 * What is inside JSON strings. Every function expects text that JsonCursor has accepted: valid escapes, in a mended page control
 * characters as they are.
 *
 * PostgreSQL can hold neither U+0000 nor half a surrogate pair, in text or jsonb. Both become U+FFFD, in text columns as
 * in jsonb, so that the columns of a row agree.
 */
import { MINUS, QUOTE } from './json-bytes.ts';
import { JsonCursor } from './json-cursor.ts';

const UNSTORABLE = /\0|\p{Surrogate}/gu;
const CONTROLS = /[\0-\x1f]/g;

/** A raw control character may become an escape of six bytes, a raw NUL three. Nothing else grows. */
export const MAX_JSON_GROWTH = 6;

const DECODER = new TextDecoder('utf-8', { ignoreBOM: true });
const ENCODER = new TextEncoder();

/** What had to be changed in JSON text. Filled again for every field. */
export class Repairs {
  characters = false;
  numbers = false;

  clear(): void {
    this.characters = false;
    this.numbers = false;
  }
}

/** The characters of a JSON string, between its quotes, as they were served. */
export function decodeString(bytes: Uint8Array, start: number, end: number): string {
  const text = DECODER.decode(bytes.subarray(start, end)).replaceAll(CONTROLS, escapeOf);
  return String(JSON.parse(`"${text}"`));
}

function escapeOf(control: string): string {
  return JSON.stringify(control).slice(1, -1);
}

/** A text with U+FFFD for what PostgreSQL cannot hold. */
export function storable(text: string): string {
  return text.replaceAll(UNSTORABLE, '\ufffd');
}

/** The characters of a JSON string, repaired: for keys, ids in messages. */
export function decodeToString(bytes: Uint8Array, start: number, end: number): string {
  return storable(decodeString(bytes, start, end));
}

/**
 * JSON text with what jsonb refuses replaced: strings, keys among them, that PostgreSQL cannot hold, and numbers that
 * `numeric` cannot hold, which become strings of their characters: two bytes longer, and they have seven bytes or more.
 */
export function repairJson(bytes: Uint8Array, start: number, end: number, repairs: Repairs): Uint8Array {
  const cursor = new JsonCursor(bytes);
  cursor.takesControls = true;
  const pieces: Uint8Array[] = [];
  let copiedTo = start;
  for (let at = start; at < end;) {
    const from = at;
    const isText = bytes[from] === QUOTE;
    at = endOfToken(cursor, from);
    if (!cursor.unstorable) continue;
    const text = isText ? decodeString(bytes, from + 1, at - 1) : DECODER.decode(bytes.subarray(from, at));
    const stored = storable(text);
    if (!isText) repairs.numbers = true;
    else if (stored !== text) repairs.characters = true;
    pieces.push(bytes.subarray(copiedTo, from), ENCODER.encode(JSON.stringify(stored)));
    copiedTo = at;
  }
  pieces.push(bytes.subarray(copiedTo, end));
  return Buffer.concat(pieces);
}

/** Behind the string or the number that begins at `at`; behind the byte, where neither does. */
function endOfToken(cursor: JsonCursor, at: number): number {
  cursor.unstorable = false;
  const byte = cursor.bytes[at] ?? 0;
  if (byte === QUOTE) return cursor.endOfString(at + 1) + 1;
  return byte === MINUS || (byte >= 0x30 && byte <= 0x39) ? cursor.endOfNumber(at) : at + 1;
}
