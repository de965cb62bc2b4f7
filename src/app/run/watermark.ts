/** How new the data is that a run has seen. The next run begins there, less the lookback: see run-setup.ts. Pure. */
import type { PageTimes } from '../../core/encoded-page.ts';
import type { Run } from '../../core/state.ts';

/** `Date` comes in whole seconds, cut off. */
const DATE_PRECISION_MS = 1_000;
/** Catching up brings what came during the run; an API that grows as fast as it is read would never end otherwise. */
const MAX_CATCH_UPS = 2;

export class Watermark {
  #newestMs: number | null;
  /** The API's clock when the run began. */
  #serverDateMs: number | null;
  #catchUps = 0;
  /** The newest time that was known when the last catch-up began. */
  #caughtUpToMs: number | null = null;

  constructor(run: Pick<Run, 'newestMs' | 'serverDateMs'>) {
    this.#newestMs = run.newestMs;
    this.#serverDateMs = run.serverDateMs;
  }

  get serverDateMs(): number | null {
    return this.#serverDateMs;
  }

  /** The newest time seen, but never later than the API's own clock when the run began; epoch ms. */
  get ms(): number | null {
    if (this.#newestMs === null || this.#serverDateMs === null) return this.#newestMs;
    return Math.min(this.#newestMs, this.#serverDateMs);
  }

  /**
   * The first response of a pass.
   * @param times of its events when it is the first page of a window, else `null`
   */
  note(clockMs: number, times: PageTimes | null): void {
    this.#serverDateMs ??= clockMs;
    if (times === null) return;
    const newestMs = newestBelievable(times, clockMs);
    this.#newestMs = Math.max(newestMs, this.#newestMs ?? newestMs);
  }

  /** Whether to catch up once more: the last catch-up brought newer events, or there was none yet. */
  get isBehind(): boolean {
    // Without any time there is nothing by which new events could be recognised.
    if (this.#newestMs === null) return false;
    return this.#catchUps < MAX_CATCH_UPS && (this.#caughtUpToMs === null || this.#newestMs > this.#caughtUpToMs);
  }

  /** @returns where the catch-up's window begins, epoch ms */
  beginCatchUp(): number | null {
    this.#catchUps += 1;
    this.#caughtUpToMs = this.#newestMs;
    return this.#newestMs;
  }
}

/** The clock at a response: the API's own, or ours where it sends no `Date`. */
export function clockAt(response: { readonly serverDateMs: number | null; readonly receivedAtMs: number }): number {
  return response.serverDateMs ?? response.receivedAtMs;
}

/**
 * The newest time of the page that begins a pass, epoch ms, but never later than the clock: one event dated 2099 must not
 * hide everything that comes after it. When the newest time is beyond belief, the page's last one is taken, because how new
 * the events between the two are is not known; then a page's worth of events is looked at twice.
 */
export function newestBelievable(times: PageTimes, clockMs: number): number {
  if (times.newestMs < clockMs + DATE_PRECISION_MS) return Math.min(times.newestMs, clockMs);
  return Math.min(times.lastMs, clockMs);
}
