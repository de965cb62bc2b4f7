import { HEX_VALUE, MINUS, OPEN_BRACE, CLOSE_BRACE } from './json-cursor.ts';

/**
 * Longest id, in bytes of UTF-8, that always fits into the primary key: a B-tree entry has at most 2,704 bytes (BTMaxItemSize, version 4, on
 * pages of 8,192 bytes), of which 8 are its header and 4 the text's length: 2,704 − 8 − 4 = 2,692, a multiple of the alignment. Checked on
 * PostgreSQL 18 with random text: 2,692 is taken, 2,693 refused with 54000. Longer ids that compress would sometimes fit; whether an event
 * is rejected must not depend on that.
 */
export const MAX_ID_BYTES = 2692;

const HEX_DIGITS = 32;

/**
 * Writes the UUID spelled by `source[start, end)` as 16 bytes; false if PostgreSQL would not take it for one.
 * Its rules (uuid_in): upper or lower case, braces around the whole or none, a hyphen or none after every group of four digits but the last.
 */
export function writeUuid(target: Uint8Array, to: number, source: Uint8Array, start: number, end: number): boolean {
  return end - start === 36
    ? writeHyphenated(target, to, source, start) || writeAnySpelling(target, to, source, start, end)
    : writeAnySpelling(target, to, source, start, end);
}

/** The usual spelling, 8-4-4-4-12. What it writes before it returns false is overwritten by whoever comes next. */
function writeHyphenated(target: Uint8Array, to: number, source: Uint8Array, start: number): boolean {
  if (
    source[start + 8] !== MINUS ||
    source[start + 13] !== MINUS ||
    source[start + 18] !== MINUS ||
    source[start + 23] !== MINUS
  ) {
    return false;
  }
  let seen = 0;
  let at = start;
  for (let i = 0; i < 16; i += 1) {
    if (i === 4 || i === 6 || i === 8 || i === 10) at += 1;
    const high = HEX_VALUE[source[at] ?? 0] ?? 255;
    const low = HEX_VALUE[source[at + 1] ?? 0] ?? 255;
    seen |= high | low;
    target[to + i] = (high << 4) | low;
    at += 2;
  }
  return seen < 16;
}

function writeAnySpelling(target: Uint8Array, to: number, source: Uint8Array, start: number, end: number): boolean {
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
