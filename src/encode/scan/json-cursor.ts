import { firstMarked, stringStops } from './byte-words.ts';
import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  DIGIT_0,
  DOT,
  endOfSpace,
  HEX_VALUE,
  LOWER_E,
  LOWER_U,
  MINUS,
  OPEN_BRACE,
  OPEN_BRACKET,
  PLUS,
  QUOTE,
  readHex4,
  UNESCAPED,
  UPPER_E,
} from './json-bytes.ts';
import { KeyStack } from './key-stack.ts';
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

const LITERALS = new Map(['true', 'false', 'null'].map((word) => [word.charCodeAt(0), new TextEncoder().encode(word)]));

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
  /** Control characters may stand in strings as they are, against the standard. */
  takesControls = false;
  /** How often they did. Only ever raised here. */
  controls = 0;
  /** Keys of the objects that are being read. */
  readonly keys = new KeyStack();
  // The closing byte of each open level, and the first of its keys. Stacks of their own, because a page may nest deeper than
  // the call stack allows.
  readonly #closes: number[] = [];
  readonly #bases: number[] = [];

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
    return endOfSpace(this.bytes, at);
  }

  /** True if the `length` bytes (at least four) at `at` are the same as those at `other`. */
  isSameText(at: number, other: number, length: number): boolean {
    const words = this.words;
    const last = length - 4;
    if (Math.max(at, other) + last > this.lastWord) return false;
    for (let offset = 0; offset < last; offset += 4) {
      if (words.getInt32(at + offset, true) !== words.getInt32(other + offset, true)) return false;
    }
    return words.getInt32(at + last, true) === words.getInt32(other + last, true);
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
      this.escaped = true;
      at = byte === BACKSLASH ? this.#skipEscape(at) : this.#skipControl(at);
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

  /** A string with a control character is read as one with escapes: it cannot be copied as it is. */
  #skipControl(at: number): number {
    if (!this.takesControls || at >= this.bytes.length) this.fail(at, 'a character of a string or its closing quote');
    this.controls += 1;
    this.unstorable = true;
    return at + 1;
  }

  #skipEscape(at: number): number {
    const bytes = this.bytes;
    const letter = bytes[at + 1] ?? 0;
    if (UNESCAPED[letter] !== 0) return at + 2;
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
    if (byte === LOWER_E || byte === UPPER_E) {
      at += 1;
      const sign = bytes[at];
      if (sign === PLUS || sign === MINUS) at += 1;
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
      if (byte < 0x30 || byte > 0x39) break;
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
    if (byte === MINUS || (byte >= 0x30 && byte <= 0x39)) return this.endOfNumber(at);
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
      if (first === OPEN_BRACE || first === OPEN_BRACKET) {
        const close = first === OPEN_BRACE ? CLOSE_BRACE : CLOSE_BRACKET;
        this.#closes[open] = close;
        this.#bases[open] = this.keys.count;
        open += 1;
        if (depth + open > this.deepest) this.deepest = depth + open;
        at = this.skipSpace(at + 1);
        if (bytes[at] !== close) {
          if (close === CLOSE_BRACE) at = this.#startOfMemberValue(at, open);
          continue;
        }
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
        const close = this.#closes[open - 1];
        at = this.skipSpace(at);
        const next = bytes[at] ?? 0;
        if (next === COMMA) {
          at = this.skipSpace(at + 1);
          if (close === CLOSE_BRACE) at = this.#startOfMemberValue(at, open);
          break;
        }
        if (next !== close) this.fail(at, close === CLOSE_BRACE ? 'a comma or }' : 'a comma or ]');
        open -= 1;
        if (close === CLOSE_BRACE) this.keys.count = this.#bases[open] ?? 0;
        at += 1;
      }
    }
  }

  /** From the opening quote of a key to the first byte of its value. `open`: containers, this object being the last. */
  #startOfMemberValue(at: number, open: number): number {
    if (this.bytes[at] !== QUOTE) this.fail(at, 'a key');
    const end = this.endOfString(at + 1);
    this.keys.add(this.bytes, this.#bases[open - 1] ?? 0, at + 1, end - at - 1, this.escaped);
    return this.startAfterColon(end + 1);
  }

  /** From behind an object's brace (`isFirst`) or one of its values to the opening quote of the next key, or to the closing brace. */
  nextMember(from: number, isFirst: boolean): number {
    const bytes = this.bytes;
    let at = this.skipSpace(from);
    if (bytes[at] === CLOSE_BRACE) return at;
    if (!isFirst) {
      if (bytes[at] !== COMMA) this.fail(at, 'a comma or }');
      at = this.skipSpace(at + 1);
    }
    if (bytes[at] !== QUOTE) this.fail(at, 'a key');
    return at;
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
