/**
 * Four bytes at a time, in one 32-bit integer, low byte first. Each function is small enough for V8 to inline, and uses
 * only integer operations that stay in a register.
 */

const EVERY_BYTE = 0x01010101;
/** 0x80 in every byte. */
const HIGH_BITS = -0x7f7f7f80;
const SPACES = 0x20202020;
const QUOTES = 0x22222222;
const BACKSLASHES = 0x5c5c5c5c;

/**
 * 0x80 in each byte of `word` that cannot stand inside a JSON string as it is (a control character, the quote, the
 * backslash); 0 if there is none. The first mark is always right; a borrow may mark bytes above it for no reason.
 */
export function stringStops(word: number): number {
  const quotes = word ^ QUOTES;
  const backslashes = word ^ BACKSLASHES;
  return (
    (((word - SPACES) & ~word) | ((quotes - EVERY_BYTE) & ~quotes) | ((backslashes - EVERY_BYTE) & ~backslashes)) &
    HIGH_BITS
  );
}

/** Index (0 to 3) of the first byte that is marked in a result of `stringStops`. */
export function firstMarked(marks: number): number {
  return (31 - Math.clz32(marks & -marks)) >> 3;
}

/** High half of every byte: if a result of `hexDigits` has any of these bits, something was no digit. */
export const NOT_DIGITS = -0x0f0f0f10;

/**
 * Four lower-case hexadecimal digits → their values, one a byte. The result for anything else has bits of NOT_DIGITS; the
 * caller tests them, for many words at once.
 */
export function hexDigits(word: number): number {
  // '0'–'9' are 0x30–0x39, 'a'–'f' 0x61–0x66: the low half of a letter, plus nine, is its value.
  const letters = (word >>> 6) & EVERY_BYTE;
  const digits = (word & 0x0f0f0f0f) + letters * 9;
  // Spelled again it must be the same word. Also wrong: ':' to '?', which give 10 to 15 without being letters, and '`', a
  // letter that gives 9.
  const aboveNine = ((digits + 0x06060606) >>> 4) & EVERY_BYTE;
  const wrong = ((digits + 0x30303030 + letters * 0x27) ^ word) | (aboveNine ^ letters);
  // 'g' to 'o' give digits above 15, which have bits of NOT_DIGITS already.
  return digits | ((wrong | (wrong << 4)) & NOT_DIGITS);
}

/** The four bytes that two results of `hexDigits` spell, the first one low. */
export function bytesOfDigits(first: number, second: number): number {
  const low = (first << 4) | (first >>> 8);
  const high = (second << 4) | (second >>> 8);
  return (low & 0xff) | ((low >>> 8) & 0xff00) | ((high & 0xff) << 16) | ((high << 8) & 0xff000000);
}
