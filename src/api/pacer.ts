/**
 * Who may ask the API, and when: one pacer a budget, shared by all requests that use it. The one user of Bottleneck.
 *
 * Bottleneck is the queue: first come, first served, one at its head. The head waits for {@link PacingPolicy}, so that a
 * change of the rate counts at once, for everybody. Bottleneck's own rates are not used, because changing them can stop
 * them for good (SGrondin/bottleneck#185), and while nobody has to wait it is not asked at all: each of its jobs costs
 * some milliseconds.
 */
import Bottleneck from 'bottleneck';
import { GaveUpError } from '../core/errors.ts';
import { PacingPolicy, type PacingResult, type PacingTicket } from './pacing-policy.ts';
import type { RateLimitNotice } from './rate-limit-headers.ts';
import type { Wait } from './waits.ts';

export interface PacerOptions {
  /** For messages: which budget. */
  readonly name: string;
  readonly maxRps: number | null;
  /** A longer wait for one request is not waited for. */
  readonly maxWaitMs: number;
  readonly onStalled: (queued: number) => void;
  /** How long each request waited for its turn, ms. */
  readonly observeWait?: ((waitMs: number) => void) | undefined;
  /** Tests only: the queue to begin with, and after it was found stuck. */
  readonly createQueue?: () => Bottleneck;
  readonly stalledAfterMs?: number;
}

/** Shorter waits are not shown. */
const WORTH_SHOWING_MS = 1_000;
const STALLED_AFTER_MS = 15_000;
const MAX_JOBS = 16;
/** What one of Bottleneck's jobs takes before it runs: several timers, one after the other. */
const JOB_COST_MS = 5;

interface Waiter {
  readonly grant: (ticket: PacingTicket) => void;
  readonly refuse: (reason: Error) => void;
  hasLeft: boolean;
}

export class Pacer {
  readonly #options: PacerOptions;
  readonly #policy: PacingPolicy;
  readonly #waiters = new Set<Waiter>();
  readonly #stalledAfterMs: number;
  #queue: Bottleneck;
  /** In the queue, the one that runs included. */
  #jobs = 0;
  #watch: NodeJS.Timeout | null = null;
  /** When the head of the queue last did anything, ms of `performance.now()`. */
  #movedMs = performance.now();
  #headWaitsUntilMs: number | null = null;
  #wake: (() => void) | null = null;

  constructor(options: PacerOptions) {
    this.#options = options;
    this.#policy = new PacingPolicy({ maxRps: options.maxRps });
    this.#stalledAfterMs = options.stalledAfterMs ?? STALLED_AFTER_MS;
    this.#queue = this.#createQueue();
  }

  /** Why the next request has to wait, and until when; `null` when it need not, or not for long. */
  get waiting(): Wait | null {
    const nowMs = performance.now();
    const waitMs = (this.#headWaitsUntilMs ?? nowMs) - nowMs;
    if (waitMs < WORTH_SHOWING_MS) return null;
    const isPaused = this.#policy.pausedUntilMs(nowMs) !== null;
    return {
      reason: isPaused ? 'the API asked to wait' : 'rate limit of the API',
      untilMs: Date.now() + waitMs,
      askedByApi: true,
    };
  }

  /**
   * Waits for a turn. Every ticket must come back by {@link answered}.
   * @throws GaveUpError when the turn would come after `maxWaitMs`; the signal's reason when it was aborted
   */
  async turn(signal: AbortSignal): Promise<PacingTicket> {
    signal.throwIfAborted();
    const askedMs = performance.now();
    if (this.#waiters.size === 0 && this.#policy.nextStartMs(askedMs) <= askedMs) return this.#policy.started(askedMs);
    const ticket = await this.#enqueue(signal);
    this.#options.observeWait?.(ticket.startMs - askedMs);
    return ticket;
  }

  answered(ticket: PacingTicket, result: PacingResult, notice: RateLimitNotice): void {
    this.#policy.answered(ticket, result, notice, performance.now());
    this.#wake?.();
  }

  /** Stops everybody for a while. */
  pause(forMs: number): void {
    const now = performance.now();
    this.#policy.pauseUntil(now + forMs, now);
    this.#wake?.();
  }

  /** Nobody gets a turn any more; those who wait are refused. */
  close(): void {
    this.#stopWatching();
    for (const waiter of this.#waiters) waiter.refuse(new Error('the API client was closed'));
    this.#wake?.();
    // Not waited for: a queue that is stuck would not stop either, and nobody stands in it any more.
    this.#queue.stop({ dropWaitingJobs: true }).catch(() => undefined);
  }

  #createQueue(): Bottleneck {
    const queue = this.#options.createQueue?.() ?? new Bottleneck({ maxConcurrent: 1 });
    // Without a listener Bottleneck prints its own errors to the console.
    queue.on('error', () => undefined);
    return queue;
  }

  async #enqueue(signal: AbortSignal): Promise<PacingTicket> {
    return new Promise<PacingTicket>((resolve, reject) => {
      const leave = (): void => {
        waiter.hasLeft = true;
        this.#waiters.delete(waiter);
        signal.removeEventListener('abort', onAbort);
        if (this.#waiters.size === 0) this.#stopWatching();
      };
      const waiter: Waiter = {
        hasLeft: false,
        grant: (ticket) => {
          leave();
          resolve(ticket);
        },
        refuse: (reason) => {
          leave();
          reject(reason);
        },
      };
      const onAbort = (): void => {
        waiter.refuse(signal.reason as Error);
        this.#wake?.();
      };
      signal.addEventListener('abort', onAbort, { once: true });
      if (this.#waiters.size === 0) this.#movedMs = performance.now();
      this.#waiters.add(waiter);
      // Not unref'd: if it were all that is left to do, the process would end with everybody still in the queue.
      this.#watch ??= setInterval(() => {
        this.#checkStalled();
      }, this.#stalledAfterMs / 3);
      this.#schedule();
    });
  }

  #stopWatching(): void {
    if (this.#watch !== null) clearInterval(this.#watch);
    this.#watch = null;
  }

  /** Few jobs for many waiters: Bottleneck is slow with many, and each job serves whoever stands first. */
  #schedule(): void {
    if (this.#jobs >= MAX_JOBS) return;
    this.#jobs += 1;
    const queue = this.#queue;
    const done = (): void => {
      if (queue === this.#queue) this.#jobs -= 1;
    };
    // A dropped job is one of a queue that was closed or replaced: nobody waits for it.
    queue.schedule(() => this.#serve(queue)).then(done, done);
  }

  /** A job: serves one waiter, and more when there are more of them than jobs, or when another job would be too slow. */
  async #serve(queue: Bottleneck): Promise<void> {
    for (;;) {
      const [waiter] = this.#waiters;
      if (waiter === undefined) return;
      await this.#atHead(waiter, queue);
      if (queue !== this.#queue) return;
      const soon = this.#policy.nextStartMs(performance.now()) - performance.now() < JOB_COST_MS;
      if (!soon && this.#waiters.size < this.#jobs) return;
    }
  }

  /** Waits with the first waiter for the policy. Never throws; the waiter is told by its own functions. */
  async #atHead(waiter: Waiter, queue: Bottleneck): Promise<void> {
    while (!waiter.hasLeft && queue === this.#queue) {
      const now = performance.now();
      this.#movedMs = now;
      const startMs = this.#policy.nextStartMs(now);
      if (startMs <= now) {
        this.#headWaitsUntilMs = null;
        waiter.grant(this.#policy.started(now));
        return;
      }
      if (startMs - now > this.#options.maxWaitMs) {
        this.#headWaitsUntilMs = null;
        waiter.refuse(this.#waitTooLong(startMs - now));
        return;
      }
      this.#headWaitsUntilMs = startMs;
      await this.#sleep(startMs - now);
    }
    this.#headWaitsUntilMs = null;
  }

  #waitTooLong(waitMs: number): GaveUpError {
    const comeBack = new Date(Date.now() + waitMs).toISOString();
    return new GaveUpError(
      `The API's rate limit on ${this.#options.name} asks for a wait of ${Math.ceil(waitMs / 1000)} s, longer than --max-wait ` +
        `(${Math.round(this.#options.maxWaitMs / 1000)} s) allows. What was loaded is safe: start again after ${comeBack}, ` +
        `or with a longer --max-wait.`,
    );
  }

  /** Until the time is over, or something has changed. */
  async #sleep(waitMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#wake = null;
        resolve();
      };
      // Timers of node may fire up to 1 ms early; half a millisecond more saves the second round.
      const timer = setTimeout(done, Math.min(waitMs + 0.5, 2 ** 31 - 1));
      this.#wake = done;
    });
    this.#movedMs = performance.now();
  }

  /** Jobs can stay queued for ever (SGrondin/bottleneck#152): then the queue is replaced, and the waiters stand in the new one. */
  #checkStalled(): void {
    const now = performance.now();
    const dueMs = Math.max(this.#movedMs, this.#headWaitsUntilMs ?? 0);
    if (now - dueMs < this.#stalledAfterMs) return;
    this.#options.onStalled(this.#waiters.size);
    const old = this.#queue;
    this.#queue = this.#createQueue();
    this.#movedMs = now;
    this.#headWaitsUntilMs = null;
    this.#wake?.();
    old.stop({ dropWaitingJobs: true }).catch(() => undefined);
    this.#jobs = 0;
    for (let waiter = 0; waiter < this.#waiters.size; waiter += 1) this.#schedule();
  }
}
