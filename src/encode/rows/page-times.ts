import type { PageTimes } from '../../core/encoded-page.ts';

/** Enough that the last events hardly ever all have a wrong clock. A power of two. */
const TAIL_EVENTS = 4;
/** Room for the events of a usual page. */
const USUAL_EVENTS = 5_120;

/** Gathers the times of a page's events in serving order, and where each event begins. */
export class PageTimesTracker {
  /** Events so far. */
  count = 0;
  #timed = 0;
  #newestMs = 0;
  #oldestMs = 0;
  #lastMs = 0;
  #descending = true;
  readonly #tailMs = new Float64Array(TAIL_EVENTS);
  #timesMs = new Float64Array(USUAL_EVENTS);
  #starts = new Uint32Array(USUAL_EVENTS);
  /** Ends of those events that cannot be read, by position. */
  readonly #brokenEnds = new Map<number, number>();

  /** @param timeMs of the next event, since 1970; NaN: it has no valid time. @param start its offset in the body */
  add(timeMs: number, start: number): void {
    if (this.count === this.#timesMs.length) this.#grow();
    this.#timesMs[this.count] = timeMs;
    this.#starts[this.count] = start;
    this.count += 1;
    if (Number.isNaN(timeMs)) return;
    if (this.#timed === 0) {
      this.#newestMs = timeMs;
      this.#oldestMs = timeMs;
    } else {
      if (timeMs > this.#lastMs) this.#descending = false;
      if (timeMs > this.#newestMs) this.#newestMs = timeMs;
      if (timeMs < this.#oldestMs) this.#oldestMs = timeMs;
    }
    this.#lastMs = timeMs;
    this.#tailMs[this.#timed & (TAIL_EVENTS - 1)] = timeMs;
    this.#timed += 1;
  }

  /** The next event is `[start, end)` of the body, and cannot be read. */
  addBroken(start: number, end: number): void {
    this.#brokenEnds.set(this.count, end);
    this.add(Number.NaN, start);
  }

  clear(): void {
    this.count = 0;
    this.#brokenEnds.clear();
    this.#timed = 0;
    this.#descending = true;
  }

  read(): PageTimes | null {
    if (this.#timed === 0) return null;
    return {
      newestMs: this.#newestMs,
      oldestMs: this.#oldestMs,
      lastMs: this.#lastMs,
      tailNewestMs: Math.max(...this.#tailMs.subarray(0, this.#timed)),
      descending: this.#descending,
    };
  }

  /** One time an event, NaN where there is none; a view that owns its buffer. */
  get timesMs(): Float64Array<ArrayBuffer> {
    return this.#timesMs.subarray(0, this.count);
  }

  /** Offset of an event in the body. */
  startOf(position: number): number {
    return this.#starts[position] ?? 0;
  }

  /** Offset after an event that cannot be read; `undefined` for any other. */
  brokenEndOf(position: number): number | undefined {
    return this.#brokenEnds.get(position);
  }

  #grow(): void {
    const times = new Float64Array(this.count * 2);
    times.set(this.#timesMs);
    this.#timesMs = times;
    const starts = new Uint32Array(this.count * 2);
    starts.set(this.#starts);
    this.#starts = starts;
  }
}
