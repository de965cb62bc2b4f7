import type { JsonCursor } from './json-cursor.ts';
import { decodeToString } from './json-strings.ts';

/** Stands for a key that is not known, and for "before the first key". */
export const NO_FIELD = -1;

/**
 * A key with quotes and colon is compared as at most this many words of four bytes, the last of which may overlap the
 * one before.
 */
const MAX_KEY_WORDS = 4;

/**
 * The known keys of one kind of object. Events of a page are nearly always written by one program, with their keys in
 * one order, so the field that came after another one last time is tried first: two or three comparisons of words, no
 * scan.
 */
export class KnownKeys {
  readonly #words: Int32Array;
  readonly #lengths: Uint8Array;
  readonly #after: Int8Array;
  readonly #byName: ReadonlyMap<string, number>;
  readonly #byLength: readonly (readonly { readonly name: Uint8Array; readonly field: number }[])[];

  /** `fields` are numbered from 0, below `fieldCount`. Keys are ASCII and have at most 13 characters. */
  constructor(fields: readonly (readonly [string, number])[], fieldCount: number) {
    this.#words = new Int32Array(fieldCount * MAX_KEY_WORDS);
    this.#lengths = new Uint8Array(fieldCount);
    this.#after = new Int8Array(fieldCount + 1).fill(NO_FIELD);
    this.#byName = new Map(fields);
    for (const [name, field] of fields) this.#addPattern(name, field);
    const longest = Math.max(...fields.map(([name]) => name.length));
    this.#byLength = Array.from({ length: longest + 1 }, (_, length) =>
      fields
        .filter(([name]) => name.length === length)
        .map(([name, field]) => ({ name: new TextEncoder().encode(name), field })),
    );
  }

  #addPattern(name: string, field: number): void {
    const pattern = new TextEncoder().encode(`"${name}":`);
    if (pattern.length > MAX_KEY_WORDS * 4)
      throw new RangeError(`expected a key of at most 13 characters, got ${name}`);
    const view = new DataView(pattern.buffer);
    for (let word = 0; word < MAX_KEY_WORDS; word += 1) {
      this.#words[field * MAX_KEY_WORDS + word] = view.getInt32(Math.min(word * 4, pattern.length - 4), true);
    }
    this.#lengths[field] = pattern.length;
  }

  /** The field that came after `previous` the last time, NO_FIELD if none is known to. */
  expectedAfter(previous: number): number {
    return this.#after[previous + 1] ?? NO_FIELD;
  }

  /**
   * Offset after the colon if the key at `at`, an opening quote, is that of `field`, with the colon at once behind it;
   * else 0.
   */
  endIfAt(cursor: JsonCursor, at: number, field: number): number {
    const length = this.#lengths[field] ?? 0;
    const end = at + length;
    if (end > cursor.lastWord) return 0;
    const { words } = cursor;
    const pattern = this.#words;
    const first = field * MAX_KEY_WORDS;
    let difference = words.getInt32(at, true) ^ (pattern[first] ?? 0);
    if (length > 8) {
      difference |= words.getInt32(at + 4, true) ^ (pattern[first + 1] ?? 0);
      if (length > 12) difference |= words.getInt32(at + 8, true) ^ (pattern[first + 2] ?? 0);
    }
    difference |= words.getInt32(end - 4, true) ^ (pattern[first + 3] ?? 0);
    return difference === 0 ? end : 0;
  }

  /**
   * The field of the key whose characters are `bytes[start, end)`, or NO_FIELD; remembers it as what comes after
   * `previous`.
   */
  find(bytes: Uint8Array, start: number, end: number, escaped: boolean, previous: number): number {
    const field = escaped
      ? (this.#byName.get(decodeToString(bytes, start, end)) ?? NO_FIELD)
      : this.#findPlain(bytes, start, end);
    this.#after[previous + 1] = field;
    return field;
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
