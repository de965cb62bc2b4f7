/**
 * The bytes of JSON text that have a meaning. Loops over digits use literals, because V8 loads an exported constant anew in
 * every turn.
 */
export const QUOTE = 0x22;
export const PLUS = 0x2b;
export const COMMA = 0x2c;
export const MINUS = 0x2d;
export const DOT = 0x2e;
export const DIGIT_0 = 0x30;
export const COLON = 0x3a;
export const UPPER_E = 0x45;
export const OPEN_BRACKET = 0x5b;
export const BACKSLASH = 0x5c;
export const CLOSE_BRACKET = 0x5d;
export const LOWER_E = 0x65;
export const LOWER_U = 0x75;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;

/** White space as JSON has it. */
export function isSpace(byte: number): boolean {
  return byte <= 0x20 && (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09);
}

/** The first byte at or after `at` that is not white space. */
export function endOfSpace(bytes: Uint8Array, at: number): number {
  while (at < bytes.length && isSpace(bytes[at] ?? 0)) at += 1;
  return at;
}

/** The character that a letter after a backslash stands for, 0 for any other byte; `\u` apart. */
export const UNESCAPED = new Uint8Array(256);
for (const letter of '"\\/bfnrt') {
  UNESCAPED[letter.charCodeAt(0)] = String(JSON.parse(`"\\${letter}"`)).charCodeAt(0);
}

/** Value of a hexadecimal digit, 255 for any other byte. */
export const HEX_VALUE = new Uint8Array(256).fill(255);
for (let value = 0; value < 16; value += 1) {
  const digit = value.toString(16);
  HEX_VALUE[digit.charCodeAt(0)] = value;
  HEX_VALUE[digit.toUpperCase().charCodeAt(0)] = value;
}

/** The code unit written as four hexadecimal digits at `at`, or -1. */
export function readHex4(bytes: Uint8Array, at: number): number {
  let unit = 0;
  for (let i = at; i < at + 4; i += 1) {
    const digit = i < bytes.length ? (HEX_VALUE[bytes[i] ?? 0] ?? 255) : 255;
    if (digit === 255) return -1;
    unit = (unit << 4) | digit;
  }
  return unit;
}
