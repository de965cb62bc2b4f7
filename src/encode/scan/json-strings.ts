import { BACKSLASH, DOT, LOWER_E, LOWER_U, MINUS, PLUS, QUOTE, readHex4, UNESCAPED, UPPER_E } from './json-bytes.ts';
import { isUnfitNumeric } from './numeric-range.ts';

/**
 * What is inside JSON strings. Every function expects text that JsonCursor has accepted: valid escapes, valid UTF-8, in a
 * mended page control characters as they are.
 *
 * PostgreSQL can hold neither U+0000 nor half a surrogate pair, in text or jsonb. Both become U+FFFD, in text columns as
 * in jsonb, so that the columns of a row agree.
 */

const REPLACEMENT = 0xfffd;
/** `\ufffd` is as long as the escape that it replaces. */
const REPLACEMENT_ESCAPE = new TextEncoder().encode('\\ufffd');
/** `\u0000` to `\u001f`, one after the other. */
const CONTROL_ESCAPES = new TextEncoder().encode(
  Array.from({ length: 32 }, (_, code) => `\\u${code.toString(16).padStart(4, '0')}`).join(''),
);

/** What a writer had to change. Filled again for every field. */
export class Repairs {
  characters = false;
  numbers = false;

  clear(): void {
    this.characters = false;
    this.numbers = false;
  }
}

/** A character becomes at most so many times as long: a NUL three bytes in text, any control character six in JSON. */
export const MAX_TEXT_GROWTH = 3;
export const MAX_JSON_GROWTH = 6;

/** Writes the characters of a JSON string as UTF-8; returns the offset after them. Longer than its source only by raw NULs. */
export function decodeInto(
  target: Uint8Array,
  to: number,
  source: Uint8Array,
  start: number,
  end: number,
  repairs: Repairs,
): number {
  let at = start;
  while (at < end) {
    const byte = source[at] ?? 0;
    if (byte !== BACKSLASH) {
      at += 1;
      if (byte === 0) {
        repairs.characters = true;
        to = writeUtf8(target, to, REPLACEMENT);
      } else {
        target[to] = byte;
        to += 1;
      }
      continue;
    }
    const letter = source[at + 1] ?? 0;
    if (letter !== LOWER_U) {
      target[to] = UNESCAPED[letter] ?? 0;
      to += 1;
      at += 2;
      continue;
    }
    let codePoint = readHex4(source, at + 2);
    at += 6;
    const low = codePoint >= 0xd800 && codePoint < 0xdc00 ? lowSurrogateAt(source, at, end) : 0;
    if (low !== 0) {
      codePoint = 0x10000 + ((codePoint - 0xd800) << 10) + (low - 0xdc00);
      at += 6;
    } else if (codePoint === 0 || (codePoint >= 0xd800 && codePoint <= 0xdfff)) {
      codePoint = REPLACEMENT;
      repairs.characters = true;
    }
    to = writeUtf8(target, to, codePoint);
  }
  return to;
}

function lowSurrogateAt(source: Uint8Array, at: number, end: number): number {
  if (at + 6 > end || source[at] !== BACKSLASH || source[at + 1] !== LOWER_U) return 0;
  const unit = readHex4(source, at + 2);
  return unit >= 0xdc00 && unit <= 0xdfff ? unit : 0;
}

function writeUtf8(target: Uint8Array, to: number, codePoint: number): number {
  if (codePoint < 0x80) {
    target[to] = codePoint;
    return to + 1;
  }
  if (codePoint < 0x800) {
    target[to] = 0xc0 | (codePoint >> 6);
    target[to + 1] = 0x80 | (codePoint & 0x3f);
    return to + 2;
  }
  if (codePoint < 0x10000) {
    target[to] = 0xe0 | (codePoint >> 12);
    target[to + 1] = 0x80 | ((codePoint >> 6) & 0x3f);
    target[to + 2] = 0x80 | (codePoint & 0x3f);
    return to + 3;
  }
  target[to] = 0xf0 | (codePoint >> 18);
  target[to + 1] = 0x80 | ((codePoint >> 12) & 0x3f);
  target[to + 2] = 0x80 | ((codePoint >> 6) & 0x3f);
  target[to + 3] = 0x80 | (codePoint & 0x3f);
  return to + 4;
}

const DECODER = new TextDecoder();

/** The characters of a JSON string, repaired: for keys, ids in messages, cursors. Not for columns. */
export function decodeToString(source: Uint8Array, start: number, end: number): string {
  const decoded = new Uint8Array((end - start) * MAX_TEXT_GROWTH);
  return DECODER.decode(decoded.subarray(0, decodeInto(decoded, 0, source, start, end, new Repairs())));
}

/**
 * Copies JSON text, replacing what jsonb refuses: `\u0000` and lone surrogates by `\ufffd`, in keys too, and a number
 * that `numeric` cannot hold by a string of its characters; a control character becomes an escape. Returns the offset
 * after it; at most two bytes longer for each such number, which has seven bytes or more.
 */
export function copyRepaired(
  target: Uint8Array,
  to: number,
  source: Uint8Array,
  start: number,
  end: number,
  repairs: Repairs,
): number {
  let at = start;
  let inString = false;
  while (at < end) {
    const byte = source[at] ?? 0;
    if (byte === QUOTE) {
      inString = !inString;
    } else if (inString) {
      if (byte === BACKSLASH) {
        const length = escapeLength(source, at, end);
        const escape = length === 0 ? REPLACEMENT_ESCAPE : source.subarray(at, at + length);
        if (length === 0) repairs.characters = true;
        target.set(escape, to);
        to += escape.length;
        at += escape.length;
        continue;
      }
      if (byte < 0x20) {
        to = writeControl(target, to, byte, repairs);
        at += 1;
        continue;
      }
    } else if (byte === MINUS || isDigit(byte)) {
      const numberEnd = endOfNumberCharacters(source, at, end);
      const isUnfit = isUnfitNumeric(source, at, numberEnd);
      if (isUnfit) target[to++] = QUOTE;
      target.set(source.subarray(at, numberEnd), to);
      to += numberEnd - at;
      if (isUnfit) target[to++] = QUOTE;
      repairs.numbers ||= isUnfit;
      at = numberEnd;
      continue;
    }
    target[to] = byte;
    to += 1;
    at += 1;
  }
  return to;
}

function writeControl(target: Uint8Array, to: number, byte: number, repairs: Repairs): number {
  repairs.characters ||= byte === 0;
  const escape = byte === 0 ? REPLACEMENT_ESCAPE : CONTROL_ESCAPES.subarray(byte * 6, byte * 6 + 6);
  target.set(escape, to);
  return to + escape.length;
}

/** How many bytes of an escape, or of a pair of them, can be copied as they are; 0: it must be replaced. */
function escapeLength(source: Uint8Array, at: number, end: number): number {
  if (source[at + 1] !== LOWER_U) return 2;
  const unit = readHex4(source, at + 2);
  if (unit === 0) return 0;
  if (unit < 0xd800 || unit > 0xdfff) return 6;
  return unit < 0xdc00 && lowSurrogateAt(source, at + 6, end) !== 0 ? 12 : 0;
}

function endOfNumberCharacters(source: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && isInNumber(source[at] ?? 0)) at += 1;
  return at;
}

function isInNumber(byte: number): boolean {
  return isDigit(byte) || byte === MINUS || byte === PLUS || byte === DOT || byte === LOWER_E || byte === UPPER_E;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}
