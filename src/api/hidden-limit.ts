/**
 * What refusals say of a limit that the API does not announce. Pure.
 *
 * Where few requests are granted between two refusals, twice in a row, requests are spread at the rate at which they were granted, and come
 * faster while nothing is refused. Where many are granted, they go at once: there a refusal costs less than spreading does.
 */
import { usualMs } from './announced-quota.ts';

/** Fewer requests than this are few. */
const FEW = 10;
/** A spread request comes earlier by this share, for each one that was granted beyond the number before. */
const RAISE = 0.02;

export class HiddenLimit {
  /** Least distance between two requests; 0 where they are not spread. */
  spreadMs = 0;
  #firstMs: number | null = null;
  #windowMs: number | null = null;
  #refusedMs: number | null = null;
  #granted = 0;
  #grantedBefore = 0;
  #fewInARow = 0;

  /** Whether the time from a window's first request to its reset has been found. */
  get isFound(): boolean {
    return this.#windowMs !== null;
  }

  /** When the present window ends; `null` when that is not known. */
  get resetMs(): number | null {
    return this.#firstMs === null || this.#windowMs === null ? null : this.#firstMs + this.#windowMs;
  }

  started(nowMs: number): void {
    this.#firstMs ??= nowMs;
  }

  granted(): void {
    this.#granted += 1;
    const beyond = Math.max(0, this.#granted - this.#grantedBefore);
    this.spreadMs *= Math.max(0.5, 1 - RAISE * beyond);
  }

  /**
   * The limit let requests through again.
   * @param refusedMs when the refusal came
   * @param lookedMs start of the last request that was refused while it was looked whether the limit is gone; `null` for none
   * @param startMs start of the first request that was served then
   */
  passed(refusedMs: number, lookedMs: number | null, startMs: number): void {
    const granted = Math.max(1, this.#granted - 1);
    this.#fewInARow = granted < FEW ? this.#fewInARow + 1 : 0;
    if (this.#refusedMs !== null && (this.spreadMs > 0 || this.#fewInARow > 1)) {
      this.spreadMs = (refusedMs - this.#refusedMs) / granted;
      this.#grantedBefore = granted;
    }
    const firstMs = this.#firstMs ?? startMs;
    // Where requests went for longer than was waited, the window may have begun after the first: the limit may be new.
    if (lookedMs !== null && startMs - refusedMs > refusedMs - firstMs) {
      this.#windowMs = usualMs(startMs - firstMs, lookedMs - firstMs);
    }
    this.#refusedMs = refusedMs;
    this.#granted = 1;
    this.#firstMs = startMs;
  }
}
