/** More keys of one object are not compared with each other: the exact search is as fast then. */
const MAX_COMPARED_KEYS = 64;

/**
 * Notices, at little cost, that an object may have a key twice: keys of one length are compared by their first and their last
 * four bytes. Objects inside of objects are a stack. What it notices, `hasDoubledKey` must confirm.
 */
export class KeyStack {
  /** Two keys of one object may be the same. Only ever set here. */
  mayBeDoubled = false;
  #starts = new Int32Array(256);
  #lengths = new Int32Array(256);
  #count = 0;

  /** Nothing is open. */
  clear(): void {
    this.mayBeDoubled = false;
    this.#count = 0;
  }

  /** An object begins; returns what its keys and its end must be given. */
  open(): number {
    return this.#count;
  }

  close(base: number): void {
    this.#count = base;
  }

  /** A key of the innermost object, its characters being `words[start, start + length)`. */
  add(words: DataView, base: number, start: number, length: number, isEscaped: boolean): void {
    const count = this.#count;
    // A key with an escape may be spelled in two ways.
    if (isEscaped || count - base >= MAX_COMPARED_KEYS) {
      this.mayBeDoubled = true;
      return;
    }
    if (count === this.#starts.length) this.#grow();
    const starts = this.#starts;
    const lengths = this.#lengths;
    for (let at = base; at < count; at += 1) {
      if (lengths[at] === length && isAlike(words, starts[at] ?? 0, start, length)) this.mayBeDoubled = true;
    }
    starts[count] = start;
    lengths[count] = length;
    this.#count = count + 1;
  }

  #grow(): void {
    const starts = new Int32Array(this.#starts.length * 2);
    const lengths = new Int32Array(starts.length);
    starts.set(this.#starts);
    lengths.set(this.#lengths);
    this.#starts = starts;
    this.#lengths = lengths;
  }
}

function isAlike(words: DataView, start: number, other: number, length: number): boolean {
  if (length >= 4) {
    const last = length - 4;
    return (
      words.getInt32(start) === words.getInt32(other) && words.getInt32(start + last) === words.getInt32(other + last)
    );
  }
  for (let at = 0; at < length; at += 1) {
    if (words.getUint8(start + at) !== words.getUint8(other + at)) return false;
  }
  return true;
}
