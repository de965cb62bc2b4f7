/**
 * Rate limits in virtual time, as servers count them. Written without a look at the policy: a limit knows when it would grant
 * the next request, which is what an oracle asks it and a policy must find out.
 */

export interface VirtualLimit {
  /** Requests a window; `Infinity` is none. */
  readonly limit: number;
  readonly windowMs: number;
  /** First moment, from `nowMs` on, at which a request would be granted. */
  earliestMs(nowMs: number): number;
  /** Counts the request when it is granted. Moments must not go back. */
  take(nowMs: number): boolean;
  /** Requests that would be granted at `nowMs`, one after the other. */
  left(nowMs: number): number;
  /** What the API announces as the time to its reset. */
  resetMs(nowMs: number): number;
}

export type LimitKind = 'fixed' | 'grid' | 'sliding' | 'bucket' | 'bucket-next';

/**
 * - `fixed`: a window begins with its first request
 * - `grid`: windows begin at multiples of their length, counted from `phaseMs`
 * - `sliding`: no span as long as the window holds more
 * - `bucket`: refills evenly; announces when it is full again
 * - `bucket-next`: the same, but announces its next token
 */
export function createLimit(kind: LimitKind, limit: number, windowMs: number, phaseMs = 0): VirtualLimit {
  switch (kind) {
    case 'fixed':
      return new FixedWindow(limit, windowMs, null);
    case 'grid':
      return new FixedWindow(limit, windowMs, phaseMs);
    case 'sliding':
      return new SlidingWindow(limit, windowMs);
    case 'bucket':
    case 'bucket-next':
      return new TokenBucket(limit, windowMs, kind === 'bucket');
  }
}

class FixedWindow implements VirtualLimit {
  readonly limit: number;
  readonly windowMs: number;
  readonly #phaseMs: number | null;
  #startMs = -Infinity;
  #used = 0;

  constructor(limit: number, windowMs: number, phaseMs: number | null) {
    this.limit = limit;
    this.windowMs = windowMs;
    this.#phaseMs = phaseMs;
  }

  earliestMs(nowMs: number): number {
    return this.left(nowMs) > 0 ? nowMs : this.#startMs + this.windowMs;
  }

  take(nowMs: number): boolean {
    const left = this.left(nowMs);
    if (left < 1) return false;
    if (nowMs >= this.#startMs + this.windowMs) {
      const phaseMs = this.#phaseMs ?? nowMs;
      // What floating point makes of a moment on the border must not count as the window before.
      this.#startMs = phaseMs + Math.floor((nowMs - phaseMs) / this.windowMs + 1e-9) * this.windowMs;
      this.#used = 0;
    }
    this.#used += 1;
    return true;
  }

  left(nowMs: number): number {
    return nowMs >= this.#startMs + this.windowMs ? this.limit : this.limit - this.#used;
  }

  resetMs(nowMs: number): number {
    return Math.max(0, this.#startMs + this.windowMs - nowMs);
  }
}

class SlidingWindow implements VirtualLimit {
  readonly limit: number;
  readonly windowMs: number;
  readonly #grantedMs: number[] = [];

  constructor(limit: number, windowMs: number) {
    this.limit = limit;
    this.windowMs = windowMs;
  }

  earliestMs(nowMs: number): number {
    return Math.max(nowMs, (this.#grantedMs.at(-this.limit) ?? -Infinity) + this.windowMs);
  }

  take(nowMs: number): boolean {
    if (this.earliestMs(nowMs) > nowMs) return false;
    this.#grantedMs.push(nowMs);
    return true;
  }

  left(nowMs: number): number {
    return this.limit - this.#recent(nowMs).length;
  }

  resetMs(nowMs: number): number {
    return (this.#recent(nowMs)[0] ?? nowMs) + this.windowMs - nowMs;
  }

  #recent(nowMs: number): number[] {
    return this.#grantedMs.slice(-this.limit).filter((grantedMs) => grantedMs > nowMs - this.windowMs);
  }
}

class TokenBucket implements VirtualLimit {
  readonly limit: number;
  readonly windowMs: number;
  readonly #announcesFull: boolean;
  #tokens: number;
  #atMs = 0;

  constructor(limit: number, windowMs: number, announcesFull: boolean) {
    this.limit = limit;
    this.windowMs = windowMs;
    this.#announcesFull = announcesFull;
    this.#tokens = limit;
  }

  get #tokenMs(): number {
    return this.windowMs / this.limit;
  }

  earliestMs(nowMs: number): number {
    return nowMs + Math.max(0, 1 - this.#level(nowMs)) * this.#tokenMs;
  }

  take(nowMs: number): boolean {
    const level = this.#level(nowMs);
    if (level < 1) return false;
    this.#tokens = level - 1;
    this.#atMs = nowMs;
    return true;
  }

  left(nowMs: number): number {
    return Math.floor(this.#level(nowMs));
  }

  resetMs(nowMs: number): number {
    const level = this.#level(nowMs);
    const missing = this.#announcesFull || level >= this.limit ? this.limit - level : 1 - (level % 1);
    return missing * this.#tokenMs;
  }

  #level(nowMs: number): number {
    // A token that comes exactly now is here, whatever floating point makes of it.
    return Math.min(this.limit, this.#tokens + (nowMs - this.#atMs) / this.#tokenMs + 1e-9);
  }
}

/** Another limit from `atMs` on, empty of requests then. */
export class ChangingLimit implements VirtualLimit {
  readonly #before: VirtualLimit;
  readonly #after: VirtualLimit;
  readonly #atMs: number;
  #nowMs = 0;

  constructor(before: VirtualLimit, after: VirtualLimit, atMs: number) {
    this.#before = before;
    this.#after = after;
    this.#atMs = atMs;
  }

  get limit(): number {
    return this.#at(this.#nowMs).limit;
  }

  get windowMs(): number {
    return this.#at(this.#nowMs).windowMs;
  }

  earliestMs(nowMs: number): number {
    const earliestMs = this.#at(nowMs).earliestMs(nowMs);
    return nowMs < this.#atMs && earliestMs >= this.#atMs ? this.#after.earliestMs(this.#atMs) : earliestMs;
  }

  take(nowMs: number): boolean {
    return this.#at(nowMs).take(nowMs);
  }

  left(nowMs: number): number {
    return this.#at(nowMs).left(nowMs);
  }

  resetMs(nowMs: number): number {
    return this.#at(nowMs).resetMs(nowMs);
  }

  #at(nowMs: number): VirtualLimit {
    this.#nowMs = nowMs;
    return nowMs < this.#atMs ? this.#before : this.#after;
  }
}

/** Grants everything: what refuses without regard to the rate stands beside it. */
export const UNLIMITED: VirtualLimit = {
  limit: Infinity,
  windowMs: 1_000,
  earliestMs: (nowMs) => nowMs,
  take: () => true,
  left: () => Infinity,
  resetMs: () => 0,
};
