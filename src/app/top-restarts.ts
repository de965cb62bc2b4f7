/**
 * Walks from the top again, where an endpoint cannot be asked by time. There is no bound on them while each gets further
 * down than all before it; pure. Depth is counted in events served, because times may be missing or wrong.
 */
export class TopRestarts {
  static readonly MAX_VAIN = 5;

  #depth = 0;
  #deepest = 0;
  #vain = 0;

  /** A walk from the top begins. */
  begin(): void {
    this.#depth = 0;
  }

  /** A page was served on the way down. */
  note(servedCount: number): void {
    this.#depth += servedCount;
  }

  /** To be asked once for each walk that ended in a stale cursor: was it one too many without getting further? */
  isVain(): boolean {
    this.#vain = this.#depth > this.#deepest ? 0 : this.#vain + 1;
    this.#deepest = Math.max(this.#deepest, this.#depth);
    return this.#vain >= TopRestarts.MAX_VAIN;
  }
}
