/** More keys of one object are not compared with each other: the exact search is as fast then. */
const MAX_COMPARED_KEYS = 64;

/** Notices that an object may have a key twice. `fieldOfDoubledKey` says whether it has, and where. */
export class KeyStack {
  /** Two keys of one object may be the same. Only ever set here. */
  mayBeDoubled = false;
  /** Keys of all open objects. Whoever reads an object sets it back, at the object's end, to what it was before. */
  count = 0;
  readonly #starts: number[] = [];
  readonly #lengths: number[] = [];

  /** A key of the innermost object, its characters being `bytes[start, start + length)`. @param base the count before that object */
  add(bytes: Uint8Array, base: number, start: number, length: number, isEscaped: boolean): void {
    const count = this.count;
    // A key with an escape may be spelled in two ways.
    if (isEscaped || count - base >= MAX_COMPARED_KEYS) {
      this.mayBeDoubled = true;
      return;
    }
    const starts = this.#starts;
    const lengths = this.#lengths;
    for (let at = base; at < count; at += 1) {
      if (lengths[at] === length && isSameKey(bytes, starts[at] ?? 0, start, length)) this.mayBeDoubled = true;
    }
    starts[count] = start;
    lengths[count] = length;
    this.count = count + 1;
  }
}

function isSameKey(bytes: Uint8Array, start: number, other: number, length: number): boolean {
  for (let at = 0; at < length; at += 1) {
    if (bytes[start + at] !== bytes[other + at]) return false;
  }
  return true;
}
