/**
 * What refusals say of a limit that the API does not announce. Pure; times are ms of a clock that never goes back.
 *
 *  - Where many requests are granted between two refusals, that is the limit, and the time until requests were let through again is its
 *    window: as many go in each, and then the next window is waited for. Now and then one more is tried.
 *  - Where few are, twice in a row, requests are spread at the rate at which they were granted, and come faster while nothing is refused.
 */
import { usualMs } from './announced-quota.ts';

/** Fewer requests than this are few. */
const FEW = 10;
/** What it may cost to find out whether more is granted: a share of the time, or of the distance between two requests. */
const MORE_SHARE = 0.03;
/** Starts that are remembered, at least. A limit of more requests is not kept: they go until they are refused. */
const MOST_STARTS = 10_000;

interface Window {
  readonly firstMs: number;
  readonly granted: number;
}

export class HiddenLimit {
  /** Least distance between two requests; 0 where they are not spread. */
  spreadMs = 0;
  /** Requests a window; `Infinity` while that is not known. */
  #limit = Infinity;
  #windowMs: number | null = null;
  /** More than the limit was granted in this window: how many, only a refusal will say. */
  #isExceeded = false;
  /** When the present window began, and what was granted in it; the same of the one before. */
  #firstMs: number | null = null;
  #granted = 0;
  #before: Window | null = null;
  /** Starts of requests that were not refused, newest last. */
  #startsMs: number[] = [];
  /** Number of the request that tries for more, and when the next one may. */
  #tried: number | null = null;
  #tryFromMs = Infinity;
  #refusedMs: number | null = null;
  /** Before this moment nothing was let through. */
  #notOverMs = -Infinity;
  #fewInARow = 0;
  /** From refusal to refusal where few are granted: time and grants, the older ones counting for less. */
  #cycleMs = 0;
  #cycleGranted = 0;

  get isFound(): boolean {
    return this.#windowMs !== null;
  }

  /** When it is looked whether requests are let through again, at the latest at `latestMs` where the window's end is not known. */
  lookMs(nowMs: number, latestMs: number): number {
    const firstMs = (this.#granted === 0 ? this.#before?.firstMs : this.#firstMs) ?? nowMs;
    // Where fewer were granted than before, the window may be another one, too.
    const endMs = this.#windowMs === null || this.#granted < this.#limit ? -Infinity : firstMs + this.#windowMs;
    return endMs > nowMs ? endMs : firstMs + usualMs(latestMs - firstMs, nowMs - firstMs);
  }

  /** When the next request may start: at once when it is not after `nowMs`. */
  nextStartMs(nowMs: number): number {
    // In the middle of a window a request is granted that comes after a longer limit, or after a shorter window.
    const tryMs = Math.max(this.#tryFromMs, (this.#firstMs ?? nowMs) + (this.#windowMs ?? 0) / 2);
    return nowMs < tryMs ? Math.min(tryMs, Math.max(nowMs, this.#roomMs)) : nowMs;
  }

  /** When the limit has room for a request. */
  get #roomMs(): number {
    return this.#isExceeded ? -Infinity : (this.#startsMs.at(-this.#limit) ?? -Infinity) + (this.#windowMs ?? 0);
  }

  started(number: number, nowMs: number): void {
    if (nowMs < this.#roomMs) {
      this.#tried = number;
      this.#tryLater(nowMs, 0);
    }
    const firstMs = (this.#firstMs ??= nowMs);
    if (this.#windowMs !== null && this.#granted > 0 && nowMs >= firstMs + this.#windowMs) {
      this.#before = { firstMs, granted: this.#granted };
      this.#firstMs = nowMs;
      this.#granted = 0;
    }
    this.#startsMs.push(nowMs);
    if (this.#startsMs.length > 2 * MOST_STARTS) this.#startsMs = this.#startsMs.slice(-MOST_STARTS);
  }

  /** A request used nothing of the limit. */
  takeBack(startMs: number): void {
    const at = this.#startsMs.lastIndexOf(startMs);
    if (at !== -1) this.#startsMs.splice(at, 1);
  }

  /**
   * @param toldMs the wait, in whole seconds and rounded up
   * @param untilMs when requests go on
   * @returns whether the request tried for more than the limit: its refusal is no news
   */
  refused(number: number, startMs: number, toldMs: number, untilMs: number): boolean {
    this.takeBack(startMs);
    this.#notOverMs = Math.max(this.#notOverMs, startMs + Math.max(0, toldMs - 1_000));
    if (number !== this.#tried) return false;
    this.#tried = null;
    this.#tryLater(startMs, untilMs - this.#roomMs);
    return true;
  }

  granted(number: number, startMs: number): void {
    if (number === this.#tried) {
      this.#isExceeded = true;
      this.#tried = null;
    }
    if (startMs >= (this.#firstMs ?? 0)) this.#granted += 1;
    const beyond = Math.max(0, this.#granted - this.#cycleGranted);
    this.spreadMs *= Math.max(0.5, 1 - MORE_SHARE * beyond);
  }

  /**
   * Requests are let through again.
   * @param refusedMs when the refusal came
   * @param startMs start of the first request that was served then
   */
  passed(refusedMs: number, startMs: number): void {
    const present = { firstMs: this.#firstMs ?? startMs, granted: this.#granted - 1 };
    // Nothing was granted in the present window: the one before had not ended.
    const { firstMs, granted } = present.granted < 1 && this.#before !== null ? this.#before : present;
    this.#fewInARow = granted < FEW ? this.#fewInARow + 1 : 0;
    this.#limit = Infinity;
    this.#windowMs = null;
    this.#isExceeded = false;
    if (this.#refusedMs !== null && (this.spreadMs > 0 || this.#fewInARow > 1)) {
      this.#cycleMs = this.#cycleMs / 2 + refusedMs - this.#refusedMs;
      this.#cycleGranted = this.#cycleGranted / 2 + Math.max(1, granted);
      this.spreadMs = this.#cycleMs / this.#cycleGranted;
    } else if (granted >= FEW) {
      this.#limit = granted;
      this.#windowMs = usualMs(startMs - firstMs, Math.max(0, this.#notOverMs - firstMs));
      this.#tryLater(startMs, startMs - firstMs - this.#windowMs);
    }
    this.#refusedMs = refusedMs;
    this.#firstMs = startMs;
    this.#granted = 1;
    this.#before = null;
    this.#tried = null;
  }

  /** @param costMs what the refusal cost */
  #tryLater(startMs: number, costMs: number): void {
    this.#tryFromMs = startMs + Math.max(this.#windowMs ?? 0, costMs / MORE_SHARE);
  }
}
