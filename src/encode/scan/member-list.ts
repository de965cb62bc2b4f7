/** A growing list of members `"key": value` of an object, as byte ranges. Filled again and again without allocating. */
export class MemberList {
  count = 0;
  #ranges = new Int32Array(32);

  clear(): void {
    this.count = 0;
  }

  /** From the opening quote of the key to after the value. */
  add(keyStart: number, end: number): void {
    if (this.count * 2 === this.#ranges.length) {
      const grown = new Int32Array(this.#ranges.length * 2);
      grown.set(this.#ranges);
      this.#ranges = grown;
    }
    this.#ranges[this.count * 2] = keyStart;
    this.#ranges[this.count * 2 + 1] = end;
    this.count += 1;
  }

  /** Offset of the opening quote of the key. */
  startOf(index: number): number {
    return this.#ranges[index * 2] ?? 0;
  }

  /** Offset after the value. */
  endOf(index: number): number {
    return this.#ranges[index * 2 + 1] ?? 0;
  }
}
