import { hexPairs } from './byte-words.ts';
import { CLOSE_BRACE, HEX_VALUE, type JsonCursor, MINUS, OPEN_BRACE, QUOTE } from './json-cursor.ts';

/**
 * Longest id, in bytes of UTF-8, that always fits into the primary key: a B-tree entry has at most 2,704 bytes
 * (BTMaxItemSize, version 4, on pages of 8,192 bytes), of which 8 are its header and 4 the text's length: 2,704 − 8 − 4
 * = 2,692, a multiple of the alignment. Checked on PostgreSQL 18 with random text: 2,692 is taken, 2,693 refused with
 * 54000. Longer ids that compress would sometimes fit; whether an event is rejected must not depend on that.
 */
export const MAX_ID_BYTES = 2692;

const HEX_DIGITS = 32;

/**
 * Reads a UUID in its usual spelling (lower case, 8-4-4-4-12) that starts at `start` and ends at a quote, into four
 * words, its bytes in order. False: it is spelled otherwise, or is none.
 */
export function readUsualUuid(cursor: JsonCursor, start: number, into: Int32Array, to: number): boolean {
  const { bytes, words } = cursor;
  if (start + 36 > cursor.lastWord || bytes[start + 36] !== QUOTE) return false;
  if (bytes[start + 8] !== MINUS || bytes[start + 13] !== MINUS || bytes[start + 18] !== MINUS) return false;
  if (bytes[start + 23] !== MINUS) return false;
  const pairs0 = hexPairs(words.getInt32(start, true));
  const pairs1 = hexPairs(words.getInt32(start + 4, true));
  const pairs2 = hexPairs(words.getInt32(start + 9, true));
  const pairs3 = hexPairs(words.getInt32(start + 14, true));
  const pairs4 = hexPairs(words.getInt32(start + 19, true));
  const pairs5 = hexPairs(words.getInt32(start + 24, true));
  const pairs6 = hexPairs(words.getInt32(start + 28, true));
  const pairs7 = hexPairs(words.getInt32(start + 32, true));
  // NOT_HEX is the only one below zero.
  if ((pairs0 | pairs1 | pairs2 | pairs3 | pairs4 | pairs5 | pairs6 | pairs7) < 0) return false;
  into[to] = pairs0 | (pairs1 << 16);
  into[to + 1] = pairs2 | (pairs3 << 16);
  into[to + 2] = pairs4 | (pairs5 << 16);
  into[to + 3] = pairs6 | (pairs7 << 16);
  return true;
}

/**
 * Writes the UUID spelled by `source[start, end)` as 16 bytes; false if PostgreSQL would not take it for one.
 * Its rules (uuid_in): upper or lower case, braces around the whole or none, a hyphen or none after every group of four
 * digits but the last.
 */
export function writeUuid(target: Uint8Array, to: number, source: Uint8Array, start: number, end: number): boolean {
  let at = start;
  let last = end;
  if (source[at] === OPEN_BRACE && at < end) {
    if (source[end - 1] !== CLOSE_BRACE) return false;
    at += 1;
    last -= 1;
  }
  for (let digits = 0; digits < HEX_DIGITS; digits += 1) {
    if (digits > 0 && digits % 4 === 0 && at < last && source[at] === MINUS) at += 1;
    const value = at < last ? (HEX_VALUE[source[at] ?? 0] ?? 255) : 255;
    if (value === 255) return false;
    const byte = to + (digits >> 1);
    target[byte] = digits % 2 === 0 ? value << 4 : (target[byte] ?? 0) | value;
    at += 1;
  }
  return at === last;
}
