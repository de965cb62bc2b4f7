import type { PageTimes } from '../../core/encoded-page.ts';

/** Room for the events of a usual page. */
const USUAL_EVENTS = 5_120;
/** Enough that the last events hardly ever all have a wrong clock. */
const TAIL_EVENTS = 4;

/** When the events of a page are, and where they begin, in serving order. */
export class ServedEvents {
  count = 0;
  #timesMs = new Float64Array(USUAL_EVENTS);
  #starts = new Uint32Array(USUAL_EVENTS);
  readonly #brokenEnds = new Map<number, number>();

  /** @param timeMs of the next event, since 1970; NaN: it has no valid time. @param start its offset in the body */
  add(timeMs: number, start: number): void {
    if (this.count === this.#timesMs.length) this.#grow();
    this.#timesMs[this.count] = timeMs;
    this.#starts[this.count] = start;
    this.count += 1;
  }

  /** The next event is `[start, end)` of the body, and cannot be read. */
  addBroken(start: number, end: number): void {
    this.#brokenEnds.set(this.count, end);
    this.add(Number.NaN, start);
  }

  clear(): void {
    this.count = 0;
    this.#brokenEnds.clear();
  }

  /** One time an event, NaN where there is none; a view that owns its buffer. */
  get timesMs(): Float64Array<ArrayBuffer> {
    return this.#timesMs.subarray(0, this.count);
  }

  /** One offset in the body an event; a view that owns its buffer. */
  get starts(): Uint32Array<ArrayBuffer> {
    return this.#starts.subarray(0, this.count);
  }

  /** Offset after an event that cannot be read; `undefined` for any other. */
  brokenEndOf(position: number): number | undefined {
    return this.#brokenEnds.get(position);
  }

  /** Into walk time, or back: see core/walk-time.ts. */
  turnTimes(): void {
    const { timesMs } = this;
    for (let at = 0; at < timesMs.length; at += 1) timesMs[at] = 0 - (timesMs[at] ?? Number.NaN);
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

/** @param timesMs as a page's events are served, in walk time; NaN where there is none */
export function readTimes(timesMs: Float64Array): PageTimes | null {
  let timed = 0;
  let [newestMs, oldestMs, lastMs, tailNewestMs, behindMs] = [-Infinity, Infinity, 0, 0, -Infinity];
  let descending = true;
  for (let at = timesMs.length - 1; at >= 0; at -= 1) {
    const timeMs = timesMs[at] ?? Number.NaN;
    if (Number.isNaN(timeMs)) continue;
    if (timed === 0) lastMs = timeMs;
    if (timeMs < behindMs) descending = false;
    if (timeMs > newestMs) newestMs = timeMs;
    if (timeMs < oldestMs) oldestMs = timeMs;
    if (timed < TAIL_EVENTS) tailNewestMs = newestMs;
    behindMs = timeMs;
    timed += 1;
  }
  return timed === 0 ? null : { newestMs, oldestMs, lastMs, tailNewestMs, descending };
}
