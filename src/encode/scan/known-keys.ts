import type { JsonCursor } from './json-cursor.ts';
import { decodeToString } from './json-strings.ts';

/** Stands for a key that is not known. */
export const NO_FIELD = -1;

/** Longest text that is remembered, three words of eight bytes; with indentation and the longest key it is 22. */
const MAX_LEARNED_BYTES = 24;
/** `{"":`, the shortest that there is. */
const MIN_LEARNED_BYTES = 4;

/**
 * What stood before a member's value the last time, from the end of the value before (or the object's brace): a comma,
 * white space, the key, the colon. Events of a page are nearly always written by one program, their keys in one order,
 * so the same bytes come again and need not be read: two comparisons of eight bytes each.
 *
 * Eight bytes are compared as a double: the one way to have them in a register that V8 offers without allocating. Two
 * doubles that are equal have the same bits, but for zeros, which are no text; a NaN is equal to nothing, and is read the
 * slow way.
 */
export class LearnedStart {
  /** Of the member that came here; NO_FIELD if its key is not known. */
  field = NO_FIELD;
  /** From the start of the text to the key's opening quote. */
  keyOffset = 0;
  /** 0: nothing is learned. */
  #length = 0;
  #word = 0;
  #lastWord = 0;
  #double = 0.5;
  #middleDouble = 0.5;
  #lastDouble = 0.5;

  /** Offset after the text, where a value starts or white space before it; 0: another text stands at `at`. */
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

  /** The text between `start` and `end` came before a value of `field`; `keyStart` is the key's opening quote. */
  learn(cursor: JsonCursor, start: number, end: number, keyStart: number, field: number): void {
    const length = end - start;
    this.#length = length >= MIN_LEARNED_BYTES && length <= MAX_LEARNED_BYTES ? length : 0;
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
  readonly #after: readonly LearnedStart[];
  readonly #byName: ReadonlyMap<string, number>;
  readonly #byLength: readonly (readonly { readonly name: Uint8Array; readonly field: number }[])[];

  /** `fields` are numbered from 0, below `fieldCount`. Keys are ASCII. */
  constructor(fields: readonly (readonly [string, number])[], fieldCount: number) {
    this.#after = Array.from({ length: fieldCount }, () => new LearnedStart());
    this.#byName = new Map(fields);
    const longest = Math.max(...fields.map(([name]) => name.length));
    this.#byLength = Array.from({ length: longest + 1 }, (_, length) =>
      fields
        .filter(([name]) => name.length === length)
        .map(([name, field]) => ({ name: new TextEncoder().encode(name), field })),
    );
  }

  /** The member after one of `field`, which may be NO_FIELD. */
  after(field: number): LearnedStart {
    return (field === NO_FIELD ? undefined : this.#after[field]) ?? this.#afterUnknown;
  }

  /** The field of the key whose characters are `bytes[start, end)`, or NO_FIELD. */
  find(bytes: Uint8Array, start: number, end: number, escaped: boolean): number {
    return escaped
      ? (this.#byName.get(decodeToString(bytes, start, end)) ?? NO_FIELD)
      : this.#findPlain(bytes, start, end);
  }

  #findPlain(bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    for (const candidate of this.#byLength[length] ?? []) {
      let i = 0;
      while (i < length && bytes[start + i] === candidate.name[i]) i += 1;
      if (i === length) return candidate.field;
    }
    return NO_FIELD;
  }
}
