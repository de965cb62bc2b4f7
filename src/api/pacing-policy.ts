/**
 * When the next request of one budget may start. Pure: no timers; times are ms of a clock that never goes back. The rule that
 * gives the latest start counts:
 *  - announced: what the API says of its limit (announced-quota.ts)
 *  - hidden: what refusals say of a limit that is not announced (hidden-limit.ts)
 *  - paused: everybody waits as long as a refusal says. Without a word it counts after two more; then one request at a time
 *    looks whether the limit is gone
 *  - alone: while nothing is known, and after pauses that did not help, one request goes ahead
 */
import { AnnouncedQuota } from './announced-quota.ts';
import { HiddenLimit } from './hidden-limit.ts';
import type { RateLimitNotice } from './rate-limit-headers.ts';

/** One request on its way: what {@link PacingPolicy.started} gives and `answered` takes back, once. */
export interface PacingTicket {
  readonly number: number;
  readonly startMs: number;
}

/** `served` used budget; `cached` did not; `refused` is a 429; `failed` said nothing about the limit. */
export type PacingResult = 'served' | 'cached' | 'refused' | 'failed';

/** One request that goes ahead is waited for no longer than this. */
const PATIENCE_MS = 5_000;
/** From one look to the next: a share of the time since the refusal, and of {@link PATIENCE_MS} at least. */
const LOOK_SHARE = 0.08;

/** From a refusal to the first request that is served after the pause. */
interface Pause {
  readonly sinceMs: number;
  /** Numbers of the refused request, and of the last one sent before the pause; what became of those in between. */
  readonly first: number;
  readonly last: number;
  served: number;
  refused: number;
  /** How often its end was met by a refusal. */
  readonly vain: number;
}

export class PacingPolicy {
  readonly #minIntervalMs: number;
  readonly #quota = new AnnouncedQuota();
  readonly #hidden = new HiddenLimit();
  #newest: PacingTicket = { number: 0, startMs: -Infinity };
  #isNewestOut = false;
  #onTheWay = 0;
  #dueMs = -Infinity;
  #untilMs = -Infinity;
  #pause: Pause | null = null;
  /** Refusals in a row without a word. */
  #wordless = 0;
  /** While set, one request at a time goes, until one with a higher number is served. */
  #aloneAfter: number | null = 0;

  /** @param options.maxRps cap for a key that others use too; `null` is none */
  constructor(options: { readonly maxRps: number | null }) {
    this.#minIntervalMs = options.maxRps === null ? 0 : 1000 / options.maxRps;
  }

  /** End of the pause that everybody is in; `null` when there is none at `nowMs`. */
  pausedUntilMs(nowMs: number): number | null {
    return this.#untilMs > nowMs ? this.#untilMs : null;
  }

  /** When the next request may start: at once when it is not after `nowMs`. */
  nextStartMs(nowMs: number): number {
    const { number, startMs } = this.#newest;
    const isAhead = this.#isNewestOut && this.#aloneAfter !== null && number > this.#aloneAfter;
    const spacedMs = startMs + Math.max(this.#hidden.spreadMs, isAhead ? PATIENCE_MS : 0);
    const byLimitMs = Math.max(this.#quota.nextStartMs(nowMs), this.#hidden.nextStartMs(nowMs));
    return Math.max(this.#untilMs, this.#dueMs, spacedMs, byLimitMs);
  }

  /** A request starts now. */
  started(nowMs: number): PacingTicket {
    this.#newest = { number: this.#newest.number + 1, startMs: nowMs };
    this.#quota.started(nowMs);
    this.#hidden.started(this.#newest.number, nowMs);
    this.#isNewestOut = true;
    this.#onTheWay += 1;
    this.#dueMs = Math.max(this.#dueMs, nowMs - this.#minIntervalMs) + this.#minIntervalMs;
    return this.#newest;
  }

  /** A request was answered, or failed. */
  answered(ticket: PacingTicket, result: PacingResult, notice: RateLimitNotice, nowMs: number): void {
    if (ticket === this.#newest) this.#isNewestOut = false;
    this.#onTheWay -= 1;
    if (result === 'cached' || result === 'refused') this.#quota.takeBack(ticket.startMs);
    if (result === 'cached') this.#hidden.takeBack(ticket.startMs);
    // A cached answer's headers are as old as the cache.
    if (result === 'cached' || result === 'failed') return;
    if (result === 'refused') this.#refused(ticket, notice.retryAfterMs, nowMs);
    else this.#served(ticket);
    this.#quota.read(ticket.number, ticket.startMs, this.#onTheWay, notice);
  }

  /** The API asks for a pause without a refusal (a 503 with `Retry-After`). */
  pauseUntil(untilMs: number): void {
    this.#untilMs = Math.max(this.#untilMs, untilMs);
    this.#aloneAfter = this.#newest.number;
  }

  #refused({ number, startMs }: PacingTicket, retryAfterMs: number | null, nowMs: number): void {
    // `Retry-After: 0` is less than a second; obeyed, it would be a loop as fast as the network.
    const toldMs = retryAfterMs === 0 ? 1_000 : retryAfterMs;
    if (toldMs !== null) {
      this.#untilMs = Math.max(this.#untilMs, nowMs + toldMs);
      this.#quota.refusedUntil(nowMs + toldMs);
    }
    if (this.#hidden.refused(number, startMs, toldMs ?? 0, this.#untilMs)) return;
    const pause = this.#pause;
    if (pause !== null && number <= pause.last) {
      if (number > pause.first) pause.refused += 1;
      return;
    }
    if (pause === null && toldMs === null) {
      this.#wordless += 1;
      this.#aloneAfter ??= number;
      if (this.#wordless < (this.#hidden.isFound ? 2 : 3) && this.#hidden.spreadMs === 0) return;
    }
    const refused = (pause?.refused ?? 0) + (pause === null ? Math.max(0, this.#wordless - 1) : 1);
    const before = pause ?? { sinceMs: nowMs, first: number, served: 0, vain: -1 };
    const last = this.#newest.number;
    this.#pause = { ...before, last, refused, vain: before.vain + 1 };
    this.#wordless = 0;
    this.#aloneAfter = toldMs === null || before.vain > 0 ? last : null;
    if (toldMs !== null) return;
    const latestMs = nowMs + LOOK_SHARE * Math.max(PATIENCE_MS, nowMs - before.sinceMs);
    this.#untilMs = Math.max(this.#untilMs, this.#hidden.lookMs(nowMs, latestMs));
  }

  #served({ number, startMs }: PacingTicket): void {
    if (this.#aloneAfter !== null && number > this.#aloneAfter) {
      this.#aloneAfter = null;
      this.#wordless = 0;
    }
    this.#hidden.granted(number, startMs);
    const pause = this.#pause;
    if (pause === null || number <= pause.first) return;
    if (number <= pause.last) {
      pause.served += 1;
      return;
    }
    this.#pause = null;
    // When most requests that were sent after the refused one are served, it was only a pause: not about the rate.
    const isAboutRate = pause.refused > pause.served || (this.#hidden.spreadMs > 0 && pause.refused === pause.served);
    if (isAboutRate && !this.#quota.isAnnounced) this.#hidden.passed(pause.sinceMs, startMs);
  }
}
