import type { JsonCursor } from './json-cursor.ts';
import { decodeToString } from './json-strings.ts';

/** Stands for a key that is not known, and for "before the first key". */
export const NO_FIELD = -1;

/** Words of four bytes a key may take, its quotes included. */
const MAX_KEY_WORDS = 4;

/**
 * The known keys of one kind of object. Events of a page are nearly always written by one program, with their keys in one order, so the field
 * that came after another one last time is tried first: two or three comparisons of words, no scan.
 */
export class KnownKeys {
  readonly #words: Int32Array;
  readonly #masks: Int32Array;
  readonly #wordCounts: Uint8Array;
  readonly #lengths: Uint8Array;
  readonly #after: Int8Array;
  readonly #byName: ReadonlyMap<string, number>;
  readonly #byLength: readonly (readonly { readonly name: Uint8Array; readonly field: number }[])[];

  /** `fields` are numbered from 0, below `fieldCount`. Keys are ASCII and have at most 14 characters. */
  constructor(fields: readonly (readonly [string, number])[], fieldCount: number) {
    this.#words = new Int32Array(fieldCount * MAX_KEY_WORDS);
    this.#masks = new Int32Array(fieldCount * MAX_KEY_WORDS);
    this.#wordCounts = new Uint8Array(fieldCount);
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
    const pattern = new Uint8Array(MAX_KEY_WORDS * 4);
    const { read } = new TextEncoder().encodeInto(`"${name}"`, pattern);
    if (read !== name.length + 2) throw new RangeError(`expected a key of at most 14 characters, got ${name}`);
    const masks = new Uint8Array(MAX_KEY_WORDS * 4).fill(0xff, 0, read);
    for (let word = 0; word * 4 < read; word += 1) {
      const index = field * MAX_KEY_WORDS + word;
      this.#words[index] = new DataView(pattern.buffer).getInt32(word * 4, true);
      this.#masks[index] = new DataView(masks.buffer).getInt32(word * 4, true);
    }
    this.#wordCounts[field] = Math.ceil(read / 4);
    this.#lengths[field] = read;
  }

  /** The field that came after `previous` the last time, NO_FIELD if none is known to. */
  expectedAfter(previous: number): number {
    return this.#after[previous + 1] ?? NO_FIELD;
  }

  /** Offset after the closing quote if the key at `at`, an opening quote, is that of `field`; else 0. */
  endIfAt(cursor: JsonCursor, at: number, field: number): number {
    const wordCount = this.#wordCounts[field] ?? 0;
    if (at + wordCount * 4 > cursor.lastWord) return 0;
    const first = field * MAX_KEY_WORDS;
    const { words } = cursor;
    for (let word = 0; word < wordCount; word += 1) {
      const difference = words.getInt32(at + word * 4, true) ^ (this.#words[first + word] ?? 0);
      if ((difference & (this.#masks[first + word] ?? 0)) !== 0) return 0;
    }
    return at + (this.#lengths[field] ?? 0);
  }

  /** The field of the key whose characters are `bytes[start, end)`, or NO_FIELD; remembers it as what comes after `previous`. */
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
