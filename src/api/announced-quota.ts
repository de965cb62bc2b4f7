/**
 * What the API announces of its limit, and when the next request may start by it. What is left goes at once, but for a small
 * reserve, which is spread up to the reset: its answers keep saying how things stand. When nothing is left, the reset is waited for.
 * Pure: times are ms of a clock that never goes back.
 */
import type { RateLimitNotice } from './rate-limit-headers.ts';

/** Share of the limit. */
const RESERVE = 0.03;
/** Resets are announced in whole seconds, and clocks differ: the true one is up to this much earlier. */
const INEXACT_MS = 3_000;
/** A window is at least this share of the longest time to its reset, and taken for a multiple of the first of these that fits. */
const LEAST_SHARE = 0.95;
const USUAL_MS = [60_000, 10_000, 5_000, 1_000];

interface Announced {
  readonly limit: number;
  readonly windowMs: number;
  left: number;
  resetMs: number;
  /** Number of the request whose answer said so. */
  readonly by: number;
  readonly isShared: boolean;
}

export class AnnouncedQuota {
  #announced: Announced | null = null;
  /** Starts of our own requests that used budget, newest last. */
  #startsMs: number[] = [];

  get isAnnounced(): boolean {
    return this.#announced !== null;
  }

  /** When the next request may start: at once when it is not after `nowMs`. */
  nextStartMs(nowMs: number): number {
    if (this.#announced === null) return nowMs;
    const { left, limit, isShared } = this.#announced;
    const resetMs = this.#resetMs(this.#announced);
    if (nowMs >= resetMs || left > (isShared ? 0 : limit * RESERVE)) return nowMs;
    const lastMs = this.#startsMs.at(-1) ?? nowMs;
    return left < 1 ? resetMs : Math.min(resetMs, lastMs + (resetMs - lastMs) / (left + 1));
  }

  started(nowMs: number): void {
    const announced = this.#announced;
    const kept = announced?.limit ?? 1;
    if (announced !== null) {
      if (announced.left < 1 && nowMs >= this.#resetMs(announced)) {
        // What we sent ourselves may still count in the API's window. What others sent, only the next answer says.
        const fromMs = nowMs - announced.windowMs;
        const own = this.#startsMs.length - 1 - this.#startsMs.findLastIndex((ms) => ms <= fromMs);
        const wasOurs = (this.#startsMs.at(-announced.limit) ?? -Infinity) > fromMs - INEXACT_MS;
        announced.left = wasOurs ? Math.max(1, announced.limit - own) : 1;
        announced.resetMs = nowMs + announced.windowMs;
      }
      announced.left -= 1;
    }
    this.#startsMs.push(nowMs);
    if (this.#startsMs.length > 2 * kept) this.#startsMs = this.#startsMs.slice(-kept);
  }

  /** A request used no budget. */
  takeBack(startMs: number): void {
    const at = this.#startsMs.lastIndexOf(startMs);
    if (at !== -1) this.#startsMs.splice(at, 1);
    if (this.#announced !== null) this.#announced.left += 1;
  }

  /** A refusal said when the quota is whole again. */
  refusedUntil(resetMs: number): void {
    if (this.#announced === null) return;
    this.#announced.left = 0;
    this.#announced.resetMs = resetMs;
  }

  /** @param onTheWay requests that the API may not have counted yet */
  read(number: number, startMs: number, onTheWay: number, notice: RateLimitNotice): void {
    const { limit, remaining, resetMs } = notice;
    if (limit === null || remaining === null || resetMs === null) return;
    if (this.#announced !== null && number < this.#announced.by) {
      // A newer answer has said more, and took this request for one that may not be counted yet.
      this.#announced.left += 1;
      return;
    }
    const before = this.#announced?.limit === limit ? this.#announced : null;
    const left = Math.max(0, remaining - onTheWay);
    // The API counted this request some time after its start, and will count the next one as much later.
    const untilMs = startMs + resetMs;
    const isSameReset = before !== null && Math.abs(untilMs - before.resetMs) < 1_000;
    this.#announced = {
      limit,
      windowMs: notice.windowMs ?? Math.max(before?.windowMs ?? 1_000, usualMs(resetMs, resetMs * LEAST_SHARE)),
      left,
      resetMs: isSameReset ? Math.min(untilMs, before.resetMs) : untilMs,
      by: number,
      // Fewer are left than ours explain: then a reserve would be theirs.
      isShared: before !== null && (before.isShared || (isSameReset && left < before.left)),
    };
  }

  /** Within what is inexact of the reset, our own requests say it: one by one they leave the window. */
  #resetMs({ limit, windowMs, resetMs }: Announced): number {
    const ownMs = (this.#startsMs.at(-limit) ?? -Infinity) + windowMs;
    return ownMs > resetMs - INEXACT_MS && ownMs < resetMs ? ownMs : resetMs;
  }
}

/** The roundest length up to `longestMs` and above `shortestMs`. */
export function usualMs(longestMs: number, shortestMs: number): number {
  return USUAL_MS.map((ms) => Math.floor((longestMs + 1) / ms) * ms).find((ms) => ms > shortestMs) ?? longestMs;
}
