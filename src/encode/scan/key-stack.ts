/** More keys of one object are not compared with each other: the exact search is as fast then. */
const MAX_COMPARED_KEYS = 64;

/**
 * Notices, at little cost, that an object may have a key twice: keys of one length are compared by their first and their last
 * four bytes. What it notices, `fieldOfDoubledKey` must confirm.
 */
export class KeyStack {
  /** Two keys of one object may be the same. Only ever set here. */
  mayBeDoubled = false;
  /** Keys of all open objects. Whoever reads an object sets it back, at the object's end, to what it was before. */
  count = 0;
  readonly #starts: number[] = [];
  readonly #lengths: number[] = [];

  /** A key of the innermost object, its characters being `words[start, start + length)`. @param base the count before that object */
  add(words: DataView, base: number, start: number, length: number, isEscaped: boolean): void {
    const count = this.count;
    // A key with an escape may be spelled in two ways.
    if (isEscaped || count - base >= MAX_COMPARED_KEYS) {
      this.mayBeDoubled = true;
      return;
    }
    const starts = this.#starts;
    const lengths = this.#lengths;
    for (let at = base; at < count; at += 1) {
      if (lengths[at] === length && isAlike(words, starts[at] ?? 0, start, length)) this.mayBeDoubled = true;
    }
    starts[count] = start;
    lengths[count] = length;
    this.count = count + 1;
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
