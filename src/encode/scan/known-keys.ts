import { FIELD_COUNT, type KnownKey, NO_FIELD } from './fields.ts';
import type { JsonCursor } from './json-cursor.ts';
import { decodeToString } from './json-strings.ts';

const ENCODER = new TextEncoder();

/** Longest text that is remembered: six words. With indentation and the longest key it has 22 bytes. */
const MAX_LEARNED_BYTES = 24;

/**
 * The text that stood before a member's value the last time, from the end of the value before (or the object's brace): a
 * comma, white space, the key, the colon. Nearly always one program writes all events of a page, with their keys in one
 * order, so the same text comes again, and comparing it four bytes at a time is faster than reading it.
 */
class LearnedStart {
  /** The field of the key, NO_FIELD if the key is not known. */
  field = NO_FIELD;
  /** From the start of the text to the key's opening quote. */
  keyOffset = 0;
  /** Zero while nothing is learned. */
  #length = 0;
  #word0 = 0;
  #word1 = 0;
  #word2 = 0;
  #word3 = 0;
  #word4 = 0;
  /** The last four bytes, some of which may be in the word before. */
  #lastWord = 0;

  /** Offset after the text, where a value or white space starts; 0 if another text stands at `at`. */
  endIfAt(cursor: JsonCursor, at: number): number {
    const length = this.#length;
    const end = at + length;
    if (end > cursor.lastWord || length === 0) return 0;
    const { words } = cursor;
    if (words.getInt32(at, true) !== this.#word0) return 0;
    if (length > 8 && words.getInt32(at + 4, true) !== this.#word1) return 0;
    if (length > 12 && words.getInt32(at + 8, true) !== this.#word2) return 0;
    if (length > 16 && words.getInt32(at + 12, true) !== this.#word3) return 0;
    if (length > 20 && words.getInt32(at + 16, true) !== this.#word4) return 0;
    return words.getInt32(end - 4, true) === this.#lastWord ? end : 0;
  }

  /** Remembers the text between `start` and `end`, at least `{"":`; `keyStart` is the key's opening quote. */
  learn(cursor: JsonCursor, start: number, end: number, keyStart: number, field: number): void {
    const { words, lastWord } = cursor;
    const length = end - start;
    this.#length = length <= MAX_LEARNED_BYTES && start + 16 <= lastWord ? length : 0;
    if (this.#length === 0) return;
    this.field = field;
    this.keyOffset = keyStart - start;
    this.#word0 = words.getInt32(start, true);
    this.#word1 = words.getInt32(start + 4, true);
    this.#word2 = words.getInt32(start + 8, true);
    this.#word3 = words.getInt32(start + 12, true);
    this.#word4 = words.getInt32(start + 16, true);
    this.#lastWord = words.getInt32(end - 4, true);
  }
}

/** The known keys of one kind of object. */
export class KnownKeys {
  /** The object's first member. */
  readonly first = new LearnedStart();
  readonly #afterUnknown = new LearnedStart();
  readonly #after = Array.from({ length: FIELD_COUNT }, () => new LearnedStart());
  readonly #byLength: readonly (readonly { readonly name: Uint8Array; readonly field: number }[])[];

  /** Keys are ASCII. */
  constructor(keys: readonly KnownKey[]) {
    const longest = Math.max(...keys.map(([name]) => name.length));
    this.#byLength = Array.from({ length: longest + 1 }, (_, length) =>
      keys.filter(([name]) => name.length === length).map(([name, field]) => ({ name: ENCODER.encode(name), field })),
    );
  }

  /** The member after one of `field`, which may be NO_FIELD. */
  after(field: number): LearnedStart {
    return (field === NO_FIELD ? undefined : this.#after[field]) ?? this.#afterUnknown;
  }

  /** The field of the key whose characters are `bytes[start, end)`, or NO_FIELD. */
  find(bytes: Uint8Array, start: number, end: number, isEscaped: boolean): number {
    if (!isEscaped) return this.#findPlain(bytes, start, end);
    const key = ENCODER.encode(decodeToString(bytes, start, end));
    return this.#findPlain(key, 0, key.length);
  }

  #findPlain(bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    for (const { name, field } of this.#byLength[length] ?? []) {
      let i = 0;
      while (i < length && bytes[start + i] === name[i]) i += 1;
      if (i === length) return field;
    }
    return NO_FIELD;
  }
}
