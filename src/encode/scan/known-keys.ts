import { NO_FIELD } from '../plan/compiled-plan.ts';
import type { JsonCursor } from './json-cursor.ts';
import { decodeToString } from './json-strings.ts';

const ENCODER = new TextEncoder();

/** Longest text that is remembered: three words of eight bytes. With indentation and the longest key it has 22 bytes. */
const MAX_LEARNED_BYTES = 24;

/**
 * The text that stood before a member's value the last time, from the end of the value before (or the object's brace): a
 * comma, white space, the key, the colon. Nearly always one program writes all events of a page, with their keys in one
 * order, so the same text comes again and need not be read: two comparisons of eight bytes each are enough.
 *
 * Eight bytes are compared as a double, the only way in which V8 holds them in a register. Equal doubles have equal
 * bits, but for the two zeros, which contain NUL bytes and so are no JSON text. A NaN is equal to nothing and is read the
 * slow way.
 */
class LearnedStart {
  /** The field of the key, NO_FIELD if the key is not known. */
  field = NO_FIELD;
  /** From the start of the text to the key's opening quote. */
  keyOffset = 0;
  /** Of the key's characters between its quotes. */
  keyLength = 0;
  isEscaped = false;
  /** Zero while nothing is learned. */
  #length = 0;
  #word = 0;
  #lastWord = 0;
  #double = 0.5;
  #middleDouble = 0.5;
  #lastDouble = 0.5;

  /** Offset after the text, where a value or white space starts; 0 if another text stands at `at`. */
  endIfAt(cursor: JsonCursor, at: number): number {
    const length = this.#length;
    const end = at + length;
    if (end > cursor.lastWord || length === 0) return 0;
    const { words } = cursor;
    if (length < 8) {
      return words.getInt32(at, true) === this.#word && words.getInt32(end - 4, true) === this.#lastWord ? end : 0;
    }
    if (words.getFloat64(at, true) !== this.#double) return 0;
    if (length > 16 && words.getFloat64(at + 8, true) !== this.#middleDouble) return 0;
    return words.getFloat64(end - 8, true) === this.#lastDouble ? end : 0;
  }

  /**
   * Remembers the text between `start` and `end`, at least `{"":`; the key stands between the quotes at `keyStart` and
   * `keyEnd`, and was read last.
   */
  learn(cursor: JsonCursor, start: number, end: number, keyStart: number, keyEnd: number, field: number): void {
    const length = end - start;
    this.#length = length <= MAX_LEARNED_BYTES ? length : 0;
    this.keyLength = keyEnd - keyStart - 1;
    this.isEscaped = cursor.escaped;
    if (this.#length === 0) return;
    this.field = field;
    this.keyOffset = keyStart - start;
    const { words } = cursor;
    if (length < 8) {
      this.#word = words.getInt32(start, true);
      this.#lastWord = words.getInt32(end - 4, true);
      return;
    }
    this.#double = words.getFloat64(start, true);
    if (length > 16) this.#middleDouble = words.getFloat64(start + 8, true);
    this.#lastDouble = words.getFloat64(end - 8, true);
  }
}

/** The known keys of one kind of object. */
export class KnownKeys {
  /** The object's first member. */
  readonly first = new LearnedStart();
  readonly #afterUnknown = new LearnedStart();
  /** By the field before. */
  readonly #after: readonly (LearnedStart | undefined)[];
  readonly #byLength: readonly (readonly { readonly name: Uint8Array; readonly field: number }[])[];

  /**
   * @param keys each with its field
   * @param fieldCount of the whole plan
   */
  constructor(keys: readonly (readonly [string, number])[], fieldCount: number) {
    const fields = new Set(keys.map(([, field]) => field));
    this.#after = Array.from({ length: fieldCount }, (_, field) =>
      fields.has(field) ? new LearnedStart() : undefined,
    );
    const known = keys.map(([name, field]) => ({ name: ENCODER.encode(name), field }));
    const longest = Math.max(0, ...known.map(({ name }) => name.length));
    this.#byLength = Array.from({ length: longest + 1 }, (_, length) =>
      known.filter(({ name }) => name.length === length),
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
