/**
 * How new the data is that a run has seen, and where it counts from: see walk/places.ts. Pure. Times are real ones.
 *
 * A list with its newest record first says so on its first page. One with its oldest first says it at its end: what is newest of the
 * records that came before the end.
 */
import type { Run } from '../../core/state.ts';

/** `Date` comes in whole seconds, cut off. */
const DATE_PRECISION_MS = 1_000;
/** Catching up brings what came during the run; an API that grows as fast as it is read would never end otherwise. */
const MAX_CATCH_UPS = 2;
/** So many wrong clocks at the top of the list hide nothing. */
const MAX_STRAYS = 25;
/** Times of records that are remembered before the end of a list. */
const REMEMBERED_TIMES = 100;

export class Watermark {
  #newestMs: number | null;
  /** The API's clock when the run began. */
  #serverDateMs: number | null;
  #ms: number | null;
  readonly #lookbackMs: number | null;
  #catchUps = 0;
  /** The newest time that was known when the last catch-up began. */
  #caughtUpToMs: number | null = null;

  readonly #floorMs: number;
  /** Of the last records before the end of a list with its oldest first, newest last. */
  #lastMs: number[] = [];
  /** The API's clock at the last of them. */
  #clockMs = -Infinity;

  constructor(run: Pick<Run, 'newestMs' | 'serverDateMs' | 'watermarkMs' | 'lookbackMs' | 'incrementalSinceMs'>) {
    this.#newestMs = run.newestMs;
    this.#serverDateMs = run.serverDateMs;
    this.#ms = run.watermarkMs;
    this.#lookbackMs = run.lookbackMs;
    this.#floorMs = run.incrementalSinceMs ?? -Infinity;
  }

  get serverDateMs(): number | null {
    return this.#serverDateMs;
  }

  /** The newest time of all passes, epoch ms: the next catch-up begins there. */
  get newestMs(): number | null {
    return this.#newestMs;
  }

  /**
   * The newest supported time on the run's first page, but never later than the API's own clock then. It does not rise with later
   * passes: what is counted from here on must stay the same.
   */
  get ms(): number | null {
    return this.#ms;
  }

  /** From here on the next run looks again, epoch ms. */
  get recentMs(): number | null {
    return this.#ms === null || this.#lookbackMs === null ? null : this.#ms - this.#lookbackMs;
  }

  /** The first page of a pass, from the top. @param timesMs of its events in serving order, NaN where there is none */
  note(clockMs: number, timesMs: Float64Array): void {
    this.#serverDateMs ??= clockMs;
    const newestMs = newestSupported(timesMs, clockMs, this.#lookbackMs ?? Infinity);
    if (newestMs === null) return;
    this.#newestMs = Math.max(newestMs, this.#newestMs ?? newestMs);
    this.#ms ??= Math.min(this.#newestMs, this.#serverDateMs);
  }

  /** A page before the end of a list that has its newest record last. @param timesMs in serving order, NaN where there is none */
  noteBeforeEnd(clockMs: number, timesMs: Float64Array): void {
    this.#serverDateMs ??= clockMs;
    this.#clockMs = clockMs;
    this.#lastMs = [...this.#lastMs, ...timesMs.filter((timeMs) => !Number.isNaN(timeMs))].slice(-REMEMBERED_TIMES);
  }

  /** Such a list was walked to its end. Without a page before it, how new the data is stays unknown, and the next run is full. */
  noteEnd(): void {
    const newestFirst = Float64Array.from(this.#lastMs.toReversed());
    const newestMs = newestSupported(newestFirst, this.#clockMs, this.#lookbackMs ?? Infinity);
    if (newestMs === null) return;
    this.#newestMs = Math.max(newestMs, this.#newestMs ?? newestMs);
    this.#ms ??= newestMs;
  }

  /** Whether to catch up once more: the last catch-up brought newer events, or there was none yet. */
  get isBehind(): boolean {
    // Without any time there is nothing by which new events could be recognised.
    if (this.#newestMs === null) return false;
    return this.#catchUps < MAX_CATCH_UPS && (this.#caughtUpToMs === null || this.#newestMs > this.#caughtUpToMs);
  }

  /** Call it only when {@link isBehind}. @returns where the catch-up's window begins, epoch ms */
  beginCatchUp(): number {
    if (this.#newestMs === null) throw new Error('there is no time to catch up from');
    this.#catchUps += 1;
    this.#caughtUpToMs = this.#newestMs;
    // What is believed of the newest page may lie below what the run looks at.
    return Math.max(this.#newestMs, this.#floorMs);
  }
}

/** The clock at a response: the API's own, or ours where it sends no `Date`. */
export function clockAt(response: { readonly serverDateMs: number | null; readonly receivedAtMs: number }): number {
  return response.serverDateMs ?? response.receivedAtMs;
}

/**
 * The newest time of the page that begins a pass that its other events support, epoch ms, but never later than the clock. The data
 * may lag behind the clock, and one event of tomorrow, or of 2099, must not hide everything that comes after it: below a gap that is larger
 * than the lookback among the newest events begins what is believed. The gap holds nothing, so that costs a few events that are
 * looked at twice. When what is left is beyond belief, the page's last time is taken, because how new the events between the two are is not
 * known; `null` when that is, too: how new the data is stays unknown. Then nothing is caught up with, and the next run is full.
 */
export function newestSupported(timesMs: Float64Array, clockMs: number, lookbackMs: number): number | null {
  const valid = timesMs.filter((timeMs) => !Number.isNaN(timeMs));
  const newestFirst = valid.toSorted().reverse();
  const belowGap = newestFirst
    .subarray(0, MAX_STRAYS + 1)
    .findLastIndex((timeMs, at, times) => at > 0 && (times[at - 1] ?? timeMs) - timeMs > lookbackMs);
  const candidates = [newestFirst[Math.max(0, belowGap)], valid.at(-1)];
  const timeMs = candidates.find((atMs) => atMs !== undefined && atMs < clockMs + DATE_PRECISION_MS);
  return timeMs === undefined ? null : Math.min(timeMs, clockMs);
}
