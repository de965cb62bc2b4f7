import type { PageTimes } from '../../core/encoded-page.ts';

/** Enough that the last events hardly ever all have a wrong clock. A power of two. */
const TAIL_EVENTS = 4;

/** Gathers the times of a page's events in serving order. */
export class PageTimesTracker {
  #count = 0;
  #newestMs = 0;
  #oldestMs = 0;
  #lastMs = 0;
  #descending = true;
  readonly #tailMs = new Float64Array(TAIL_EVENTS);

  /** `timeMs` of the next event that has a valid time, since 1970. */
  add(timeMs: number): void {
    if (this.#count === 0) {
      this.#newestMs = timeMs;
      this.#oldestMs = timeMs;
    } else {
      if (timeMs > this.#lastMs) this.#descending = false;
      if (timeMs > this.#newestMs) this.#newestMs = timeMs;
      if (timeMs < this.#oldestMs) this.#oldestMs = timeMs;
    }
    this.#lastMs = timeMs;
    this.#tailMs[this.#count & (TAIL_EVENTS - 1)] = timeMs;
    this.#count += 1;
  }

  clear(): void {
    this.#count = 0;
    this.#descending = true;
  }

  read(): PageTimes | null {
    if (this.#count === 0) return null;
    return {
      newestMs: this.#newestMs,
      oldestMs: this.#oldestMs,
      lastMs: this.#lastMs,
      tailNewestMs: Math.max(...this.#tailMs.subarray(0, this.#count)),
      descending: this.#descending,
    };
  }
}
