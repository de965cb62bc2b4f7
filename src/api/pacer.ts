/**
 * Who may ask the API, and when: one pacer for each budget, shared by all requests that use it. The one user of Bottleneck.
 *
 * Bottleneck is the queue: first come, first served, one at its head. The head waits for {@link PacingPolicy}, so that a
 * change of the rate counts at once, for everybody. Bottleneck's own rates are not used, because changing them can stop
 * them for good (SGrondin/bottleneck#185). While nobody has to wait Bottleneck is not asked at all: each of its jobs costs
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
  /** A request that would have to wait longer is refused. */
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
/** What one of Bottleneck's jobs takes before it runs: it sets several timers, one after the other. */
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
  /** In the queue, the running one included. */
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

  /** Nobody gets a turn any more; waiting requests are refused. */
  close(): void {
    for (const waiter of this.#waiters) waiter.refuse(new Error('the API client was closed'));
    this.#wake?.();
    // Nobody waits for this: a stuck queue would not stop either, and no request stands in it any more.
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
        if (this.#waiters.size > 0 || this.#watch === null) return;
        clearInterval(this.#watch);
        this.#watch = null;
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
      // Not unref'd: else the process could end while requests stand in the queue.
      this.#watch ??= setInterval(() => {
        this.#checkStalled();
      }, this.#stalledAfterMs / 3);
      this.#schedule();
    });
  }

  /** At most MAX_JOBS jobs for any number of waiters: Bottleneck is slow with many, and each job serves the first waiter. */
  #schedule(): void {
    if (this.#jobs >= MAX_JOBS) return;
    this.#jobs += 1;
    const queue = this.#queue;
    const done = (): void => {
      if (queue === this.#queue) this.#jobs -= 1;
    };
    // A dropped job belongs to a queue that was closed or replaced: nobody waits for it.
    queue.schedule(() => this.#serve(queue)).then(done, done);
  }

  /** A job: serves one waiter, and more when there are more waiters than jobs, or when another job would come too late. */
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

  /** Waits with the first waiter until the policy lets it start. Never throws: `grant` and `refuse` inform the waiter. */
  async #atHead(waiter: Waiter, queue: Bottleneck): Promise<void> {
    while (!waiter.hasLeft && queue === this.#queue) {
      const nowMs = performance.now();
      this.#movedMs = nowMs;
      const startMs = this.#policy.nextStartMs(nowMs);
      if (startMs <= nowMs) waiter.grant(this.#policy.started(nowMs));
      else if (startMs - nowMs > this.#options.maxWaitMs) waiter.refuse(this.#waitTooLong(startMs - nowMs));
      else {
        this.#headWaitsUntilMs = startMs;
        await this.#sleep(startMs - nowMs);
      }
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

  /** Ends when the time is over, or when something has changed. */
  async #sleep(waitMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#wake = null;
        resolve();
      };
      // Node's timers may fire up to 1 ms early; half a millisecond more saves a second round.
      const timer = setTimeout(done, Math.min(waitMs + 0.5, 2 ** 31 - 1));
      this.#wake = done;
    });
    this.#movedMs = performance.now();
  }

  /** Jobs can stay queued for ever (SGrondin/bottleneck#152): then a new queue takes over the waiters. */
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
