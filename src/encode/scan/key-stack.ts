/** More keys of one object are not compared with each other: the exact search is as fast then. */
const MAX_COMPARED_KEYS = 64;
const SPREAD = 0x9e3779b1;

/**
 * Notices, at little cost, that an object may have a key twice: keys are compared by their length, their first and their last four
 * bytes. Objects inside of objects are a stack. What it notices, `hasDoubledKey` must confirm.
 */
export class KeyStack {
  /** Two keys of one object may be the same. Only ever set here. */
  mayBeDoubled = false;
  #marks = new Int32Array(256);
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

  /** A key of the innermost object, its characters being `words[start, end)`. */
  add(words: DataView, base: number, start: number, end: number, isEscaped: boolean): void {
    const count = this.#count;
    // A key with an escape may be spelled in two ways.
    if (isEscaped || count - base >= MAX_COMPARED_KEYS) {
      this.mayBeDoubled = true;
      return;
    }
    const mark = markOf(words, start, end);
    const marks = this.#marks;
    for (let at = base; at < count; at += 1) {
      if (marks[at] === mark) this.mayBeDoubled = true;
    }
    if (count === marks.length) this.#grow();
    this.#marks[count] = mark;
    this.#count = count + 1;
  }

  #grow(): void {
    const grown = new Int32Array(this.#marks.length * 2);
    grown.set(this.#marks);
    this.#marks = grown;
  }
}

function markOf(words: DataView, start: number, end: number): number {
  const length = end - start;
  if (length >= 4) return words.getInt32(start, true) ^ Math.imul(words.getInt32(end - 4, true) ^ length, SPREAD);
  let mark = length;
  for (let at = start; at < end; at += 1) mark = (mark << 8) | words.getUint8(at);
  return mark;
}
