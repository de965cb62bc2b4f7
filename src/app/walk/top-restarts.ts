/**
 * Walks that begin at one place again: at a time, or at the top of everything where an endpoint cannot be asked by time.
 * There is no bound on them while each gets further down than all before it; pure. Depth is counted in events served,
 * because times may be missing, wrong, or all the same.
 */
export class TopRestarts {
  static readonly MAX_VAIN = 5;

  /** Undefined before the first walk. */
  #topMs: number | null | undefined;
  #depth = 0;
  #deepest = 0;
  #vain = 0;

  /** A walk begins; `null`: at the top of everything. What the one before it came to: */
  begin(topMs: number | null): 'nothing' | 'moved-on' | 'further' | 'vain' | 'too-many-vain' {
    const served = this.#depth;
    this.#depth = 0;
    if (topMs !== this.#topMs) {
      this.#topMs = topMs;
      this.#deepest = 0;
      this.#vain = 0;
      return served === 0 ? 'nothing' : 'moved-on';
    }
    if (served === 0) return 'nothing';
    this.#vain = served > this.#deepest ? 0 : this.#vain + 1;
    this.#deepest = Math.max(this.#deepest, served);
    if (this.#vain === 0) return 'further';
    return this.#vain >= TopRestarts.MAX_VAIN ? 'too-many-vain' : 'vain';
  }

  /** A page was served on the way down. */
  note(servedCount: number): void {
    this.#depth += servedCount;
  }
}
