import { firstMarked, stringStops } from './byte-words.ts';
import { isUnfitNumeric } from './numeric-range.ts';

/** The bytes are not JSON. Thrown inside the encoder, turned into a faulty page at its border. */
export class NotJsonError extends Error {
  /** Byte offset of what was not expected. */
  readonly at: number;
  readonly expected: string;
  /** The body ended where more had to come: cut, rather than wrong. */
  readonly cut: boolean;

  constructor(at: number, expected: string, cut: boolean) {
    super(`expected ${expected} at byte ${at}`);
    this.at = at;
    this.expected = expected;
    this.cut = cut;
  }
}

export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const MINUS = 0x2d;
export const DOT = 0x2e;
export const COLON = 0x3a;
export const BACKSLASH = 0x5c;
export const OPEN_BRACKET = 0x5b;
export const CLOSE_BRACKET = 0x5d;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;
export const DIGIT_0 = 0x30;
export const DIGIT_9 = 0x39;
const LOWER_U = 0x75;

/** Value of a hexadecimal digit, 255 for any other byte. */
export const HEX_VALUE = new Uint8Array(256).fill(255);
for (let value = 0; value < 16; value += 1) {
  const digit = value.toString(16);
  HEX_VALUE[digit.charCodeAt(0)] = value;
  HEX_VALUE[digit.toUpperCase().charCodeAt(0)] = value;
}

const SHORT_ESCAPES = new Uint8Array(256);
for (const letter of '"\\/bfnrt') SHORT_ESCAPES[letter.charCodeAt(0)] = 1;

const LITERALS = new Map(['true', 'false', 'null'].map((word) => [word.charCodeAt(0), new TextEncoder().encode(word)]));

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

/**
 * Walks over JSON text (RFC 8259) without building anything. Offsets in, offsets out; the bytes are only read.
 *
 * It does not look at UTF-8: bytes above 0x7f are taken anywhere inside a string, the caller checks the whole body at
 * native speed. Flags gather while it walks and are reset by whoever starts something new. Every method throws
 * NotJsonError.
 */
export class JsonCursor {
  readonly bytes: Uint8Array;
  /** The same bytes, to be read four at a time. */
  readonly words: DataView;
  /** Last offset at which four bytes can be read. */
  readonly lastWord: number;
  /** The last string had at least one escape. Set by `endOfString` alone. */
  escaped = false;
  /** Somewhere there was U+0000, a lone surrogate or a number that `numeric` cannot hold. Only ever set here. */
  unstorable = false;
  /** Deepest nesting seen, counted by the caller's base. Only ever raised here. */
  deepest = 0;
  // One byte a level, 1 for an object: a stack of our own, because a page may nest deeper than the engine's.
  #stack = new Uint8Array(256);

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.lastWord = bytes.byteLength - 4;
  }

  fail(at: number, expected: string): never {
    throw new NotJsonError(at, expected, at >= this.bytes.length);
  }

  /** The first byte at or after `at` that is not white space. */
  skipSpace(at: number): number {
    const bytes = this.bytes;
    while (at < bytes.length) {
      const byte = bytes[at] ?? 0;
      if (byte > 0x20 || (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) return at;
      at += 1;
    }
    return at;
  }

  /**
   * The `length` bytes at `at` and at `other` are the same. Eight are compared as one double (see LearnedStart), so at
   * least eight there must be; a NaN, which no valid UTF-8 has, counts as another text.
   */
  isSameText(at: number, other: number, length: number): boolean {
    const words = this.words;
    const last = length - 8;
    if (Math.max(at, other) + length > this.bytes.length) return false;
    for (let offset = 0; offset < last; offset += 8) {
      if (words.getFloat64(at + offset, true) !== words.getFloat64(other + offset, true)) return false;
    }
    return words.getFloat64(at + last, true) === words.getFloat64(other + last, true);
  }

  /** From the first byte inside a string to its closing quote. */
  endOfString(at: number): number {
    const words = this.words;
    const lastWord = this.lastWord;
    this.escaped = false;
    for (;;) {
      let stops = 0;
      while (at <= lastWord) {
        stops = stringStops(words.getInt32(at, true));
        if (stops !== 0) break;
        at += 4;
      }
      at = stops !== 0 ? at + firstMarked(stops) : this.#stopInLastBytes(at);
      const byte = at < this.bytes.length ? this.bytes[at] : 0;
      if (byte === QUOTE) return at;
      if (byte !== BACKSLASH) this.fail(at, 'a character of a string or its closing quote');
      this.escaped = true;
      at = this.#skipEscape(at);
    }
  }

  /** The same as the loop over words, for the last three bytes of the body. */
  #stopInLastBytes(at: number): number {
    const bytes = this.bytes;
    while (at < bytes.length) {
      const byte = bytes[at] ?? 0;
      if (byte < 0x20 || byte === QUOTE || byte === BACKSLASH) break;
      at += 1;
    }
    return at;
  }

  #skipEscape(at: number): number {
    const bytes = this.bytes;
    const letter = bytes[at + 1] ?? 0;
    if (SHORT_ESCAPES[letter] === 1) return at + 2;
    if (letter !== LOWER_U) this.fail(Math.min(at + 1, bytes.length), 'a known escape');
    const unit = readHex4(bytes, at + 2);
    if (unit < 0) this.#failHex(at + 2);
    at += 6;
    if (unit === 0) {
      this.unstorable = true;
    } else if (unit >= 0xd800 && unit <= 0xdfff) {
      const low = unit < 0xdc00 && bytes[at] === BACKSLASH && bytes[at + 1] === LOWER_U ? readHex4(bytes, at + 2) : -1;
      if (low >= 0xdc00 && low <= 0xdfff) return at + 6;
      this.unstorable = true;
    }
    return at;
  }

  #failHex(at: number): never {
    let wrong = at;
    while (wrong < this.bytes.length && HEX_VALUE[this.bytes[wrong] ?? 0] !== 255) wrong += 1;
    return this.fail(wrong, 'four hexadecimal digits');
  }

  /** From the first byte of a number to the first byte after it. */
  endOfNumber(start: number): number {
    const bytes = this.bytes;
    let at = start;
    if (bytes[at] === MINUS) at += 1;
    if (bytes[at] === DIGIT_0) at += 1;
    else at = this.#endOfDigits(at);
    let byte = bytes[at] ?? 0;
    if (byte === DOT) {
      at = this.#endOfDigits(at + 1);
      byte = bytes[at] ?? 0;
    }
    const exponentAt = at;
    if (byte === 0x65 || byte === 0x45) {
      at += 1;
      const sign = bytes[at];
      if (sign === 0x2b || sign === MINUS) at += 1;
      at = this.#endOfDigits(at);
    }
    // Short and without an exponent is nearly every number there is, and always fits.
    if ((at !== exponentAt || at - start > 10_000) && isUnfitNumeric(bytes, start, at)) this.unstorable = true;
    return at;
  }

  #endOfDigits(start: number): number {
    const bytes = this.bytes;
    let at = start;
    while (at < bytes.length) {
      const byte = bytes[at] ?? 0;
      if (byte < DIGIT_0 || byte > DIGIT_9) break;
      at += 1;
    }
    if (at === start) this.fail(at, 'a digit');
    return at;
  }

  /**
   * From the first byte of any value to the first byte after it. `depth`: how many containers it stands in, by the
   * caller's count.
   */
  endOfValue(at: number, depth: number): number {
    const byte = at < this.bytes.length ? this.bytes[at] : 0;
    if (byte === QUOTE) return this.endOfString(at + 1) + 1;
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) return this.#endOfContainer(at, depth);
    return this.#endOfScalar(at);
  }

  #endOfScalar(at: number): number {
    const byte = this.bytes[at] ?? 0;
    if (byte === MINUS || (byte >= DIGIT_0 && byte <= DIGIT_9)) return this.endOfNumber(at);
    const word = LITERALS.get(byte);
    if (word === undefined) return this.fail(at, 'a value');
    for (let i = 1; i < word.length; i += 1) {
      if (this.bytes[at + i] !== word[i]) this.fail(at + i, 'true, false or null');
    }
    return at + word.length;
  }

  #endOfContainer(at: number, depth: number): number {
    const bytes = this.bytes;
    let open = 0;
    for (;;) {
      // A value starts at `at`.
      const first = bytes[at] ?? 0;
      if (first === OPEN_BRACE) {
        this.#push(open, 1);
        open += 1;
        if (depth + open > this.deepest) this.deepest = depth + open;
        at = this.skipSpace(at + 1);
        if (bytes[at] !== CLOSE_BRACE) {
          at = this.startOfMemberValue(at);
          continue;
        }
        open -= 1;
        at += 1;
      } else if (first === OPEN_BRACKET) {
        this.#push(open, 0);
        open += 1;
        if (depth + open > this.deepest) this.deepest = depth + open;
        at = this.skipSpace(at + 1);
        if (bytes[at] !== CLOSE_BRACKET) continue;
        open -= 1;
        at += 1;
      } else if (first === QUOTE) {
        at = this.endOfString(at + 1) + 1;
      } else {
        at = this.#endOfScalar(at);
      }
      // A value has ended before `at`: close what closes here, then go to the next value.
      for (;;) {
        if (open === 0) return at;
        const inObject = this.#stack[open - 1] === 1;
        at = this.skipSpace(at);
        const next = bytes[at] ?? 0;
        if (next === COMMA) {
          at = this.skipSpace(at + 1);
          if (inObject) at = this.startOfMemberValue(at);
          break;
        }
        if (next !== (inObject ? CLOSE_BRACE : CLOSE_BRACKET))
          this.fail(at, inObject ? 'a comma or }' : 'a comma or ]');
        open -= 1;
        at += 1;
      }
    }
  }

  #push(open: number, kind: number): void {
    if (open === this.#stack.length) {
      const grown = new Uint8Array(open * 2);
      grown.set(this.#stack);
      this.#stack = grown;
    }
    this.#stack[open] = kind;
  }

  /** From the opening quote of a key to the first byte of its value. */
  startOfMemberValue(at: number): number {
    if (this.bytes[at] !== QUOTE) this.fail(at, 'a key');
    return this.startAfterColon(this.endOfString(at + 1) + 1);
  }

  /** From the byte after a key to the first byte of its value. */
  startAfterColon(at: number): number {
    const bytes = this.bytes;
    if (bytes[at] !== COLON) {
      at = this.skipSpace(at);
      if (bytes[at] !== COLON) this.fail(at, 'a colon');
    }
    at += 1;
    return (bytes[at] ?? 0) > 0x20 ? at : this.skipSpace(at);
  }
}
