import { asciiText } from '../../core/iso-time.ts';
import { bytesOfDigits, hexDigits, NOT_DIGITS } from './byte-words.ts';
import { CLOSE_BRACE, HEX_VALUE, MINUS, OPEN_BRACE, QUOTE } from './json-bytes.ts';
import type { JsonCursor } from './json-cursor.ts';

/**
 * Longest id, in bytes of UTF-8, that always fits into the primary key: a B-tree entry has at most 2,704 bytes
 * (BTMaxItemSize, version 4, on pages of 8,192 bytes), of which 8 are its header and 4 the text's length: 2,704 − 8 − 4
 * = 2,692, a multiple of the alignment. Checked on PostgreSQL 18 with random text: 2,692 is taken, 2,693 refused with
 * 54000. Longer ids that compress would sometimes fit; whether an event is rejected must not depend on that.
 */
export const MAX_ID_BYTES = 2692;

const HEX_DIGITS = 32;
const HYPHENS = 0x2d2d2d2d;
const USUAL_SPELLING = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;
export const UUID_CHARACTERS = 36;

/** The 16 bytes of a UUID in order, the first one low in `word0`. */
export interface UuidWords {
  word0: number;
  word1: number;
  word2: number;
  word3: number;
}

export function areSameWords(left: UuidWords, right: UuidWords): boolean {
  const { word0, word1, word2, word3 } = left;
  return word0 === right.word0 && word1 === right.word1 && word2 === right.word2 && word3 === right.word3;
}

/**
 * Reads a UUID in its usual spelling (lower case, 8-4-4-4-12) that starts at `start` and ends at a quote into `into`.
 * False: it is spelled otherwise, or is no UUID.
 */
export function readUsualUuid(cursor: JsonCursor, start: number, into: UuidWords): boolean {
  const { bytes, words } = cursor;
  const end = start + UUID_CHARACTERS;
  if (end > cursor.lastWord || bytes[end] !== QUOTE) return false;
  // Nine words: xxxx xxxx -xxx x-xx xx-x xxx- xxxx xxxx xxxx
  const word2 = words.getInt32(start + 8, true);
  const word3 = words.getInt32(start + 12, true);
  const word4 = words.getInt32(start + 16, true);
  const word5 = words.getInt32(start + 20, true);
  const hyphens = (word2 & 0xff) | (word3 & 0xff00) | (word4 & 0xff0000) | (word5 & 0xff000000);
  if (hyphens !== HYPHENS) return false;
  const digits0 = hexDigits(words.getInt32(start, true));
  const digits1 = hexDigits(words.getInt32(start + 4, true));
  const digits2 = hexDigits((word2 >>> 8) | (word3 << 24));
  const digits3 = hexDigits((word3 >>> 16) | (word4 << 16));
  const digits4 = hexDigits((word4 >>> 24) | (word5 << 8));
  const digits5 = hexDigits(words.getInt32(start + 24, true));
  const digits6 = hexDigits(words.getInt32(start + 28, true));
  const digits7 = hexDigits(words.getInt32(start + 32, true));
  const all = digits0 | digits1 | digits2 | digits3 | digits4 | digits5 | digits6 | digits7;
  if ((all & NOT_DIGITS) !== 0) return false;
  into.word0 = bytesOfDigits(digits0, digits1);
  into.word1 = bytesOfDigits(digits2, digits3);
  into.word2 = bytesOfDigits(digits4, digits5);
  into.word3 = bytesOfDigits(digits6, digits7);
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

/** Whether a text that {@link writeUuid} takes is spelled as PostgreSQL gives it back: lower case, 8-4-4-4-12. */
export function isUsualUuid(source: Uint8Array, start: number, end: number): boolean {
  return USUAL_SPELLING.test(asciiText(source, start, end));
}
