/**
 * Who may ask the API, and when: one pacer for each budget, shared by all requests that use it. The one user of Bottleneck.
 *
 * Bottleneck is the queue: first come, first served. {@link PacingPolicy} says when the next request may start; then Bottleneck's
 * reservoir grows by one, and the request at the head goes. Whoever need not wait does not queue: each of Bottleneck's jobs
 * costs a few milliseconds.
 */
import Bottleneck from 'bottleneck';
import { GaveUpError } from '../core/errors.ts';
import { PacingPolicy, type PacingResult, type PacingTicket } from './pacing-policy.ts';
import { NOTHING_SAID, type RateLimitNotice } from './rate-limit-headers.ts';
import type { Wait } from './waits.ts';

export interface PacerOptions {
  /** For messages: which budget. */
  readonly name: string;
  readonly maxRps: number | null;
  /** A request that would have to wait longer is refused. */
  readonly maxWaitMs: number;
  /** How long each request waited for its turn, ms. */
  readonly observeWait?: ((waitMs: number) => void) | undefined;
}

/** Shorter waits are not shown. */
const WORTH_SHOWING_MS = 1_000;
/** Node's timers may fire up to 1 ms early; this saves a second round. */
const TIMER_SLACK_MS = 0.5;
const LONGEST_TIMER_MS = 2 ** 31 - 1;
interface Waiter {
  hasLeft: boolean;
  /** It left with the place in the reservoir that was made for it. */
  tookPlace: boolean;
  readonly refuse: (reason: Error) => void;
}

export class Pacer {
  readonly #options: PacerOptions;
  readonly #policy: PacingPolicy;
  readonly #waiters = new Set<Waiter>();
  /** Starts that were allowed, and whose requests Bottleneck has not let go yet. */
  readonly #tickets: PacingTicket[] = [];
  #queue = createQueue();
  #timer: NodeJS.Timeout | undefined;
  /** When the timer fires, ms of `performance.now()`. */
  #nextMs: number | null = null;

  constructor(options: PacerOptions) {
    this.#options = options;
    this.#policy = new PacingPolicy({ maxRps: options.maxRps });
  }

  /** Why the next request has to wait, and until when; `null` when it need not, or not for long. */
  get waiting(): Wait | null {
    const nowMs = performance.now();
    const waitMs = (this.#nextMs ?? nowMs) - nowMs;
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
    if (this.#isFree && this.#policy.nextStartMs(askedMs) <= askedMs) return this.#policy.started(askedMs);
    const ticket = await this.#enqueue(signal);
    this.#options.observeWait?.(performance.now() - askedMs);
    return ticket;
  }

  answered(ticket: PacingTicket, result: PacingResult, notice: RateLimitNotice): void {
    this.#policy.answered(ticket, result, notice, performance.now());
    this.#release();
  }

  /** Stops everybody for a while. */
  pause(forMs: number): void {
    this.#policy.pauseUntil(performance.now() + forMs);
    this.#release();
  }

  /** Nobody gets a turn any more; waiting requests are refused. */
  close(): void {
    for (const waiter of this.#waiters) waiter.refuse(new Error('the API client was closed'));
    this.#release();
  }

  async #enqueue(signal: AbortSignal): Promise<PacingTicket> {
    // Those who left an old queue without a turn go with it.
    if (this.#waiters.size === 0) this.#queue = createQueue();
    const queue = this.#queue;
    return new Promise<PacingTicket>((resolve, reject) => {
      const leave = (): void => {
        waiter.hasLeft = true;
        this.#waiters.delete(waiter);
        signal.removeEventListener('abort', onAbort);
      };
      const waiter: Waiter = {
        hasLeft: false,
        tookPlace: false,
        refuse: (reason) => {
          leave();
          waiter.tookPlace = this.#takeBack();
          reject(reason);
        },
      };
      const onAbort = (): void => {
        waiter.refuse(signal.reason as Error);
        this.#release();
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiters.add(waiter);
      void queue.schedule(async () => {
        const ticket = waiter.hasLeft ? undefined : this.#tickets.shift();
        if (ticket !== undefined) {
          leave();
          resolve(ticket);
        } else if (!waiter.tookPlace) {
          // The place is for whoever stands behind.
          await queue.incrementReservoir(1);
        }
      });
      this.#release();
    });
  }

  /** Whether nobody waits but those who may go already. */
  get #isFree(): boolean {
    return this.#tickets.length >= this.#waiters.size;
  }

  /** Somebody left: a ticket for which nobody is left was no request. @returns whether there was one */
  #takeBack(): boolean {
    if (this.#tickets.length <= this.#waiters.size) return false;
    const ticket = this.#tickets.pop();
    if (ticket !== undefined) this.#policy.answered(ticket, 'cached', NOTHING_SAID, performance.now());
    return true;
  }

  /** Lets go whoever may go now, and comes back when the next one may. */
  #release(): void {
    clearTimeout(this.#timer);
    this.#nextMs = null;
    while (!this.#isFree) {
      const nowMs = performance.now();
      const startMs = this.#policy.nextStartMs(nowMs);
      if (startMs - nowMs > this.#options.maxWaitMs) {
        const late = [...this.#waiters].slice(this.#tickets.length);
        for (const waiter of late) waiter.refuse(this.#waitTooLong(startMs - nowMs));
      } else if (startMs > nowMs) {
        this.#nextMs = startMs;
        this.#timer = setTimeout(
          () => {
            this.#release();
          },
          Math.min(startMs - nowMs + TIMER_SLACK_MS, LONGEST_TIMER_MS),
        );
        return;
      } else {
        this.#tickets.push(this.#policy.started(nowMs));
        void this.#queue.incrementReservoir(1);
      }
    }
  }

  #waitTooLong(waitMs: number): GaveUpError {
    const comeBack = new Date(Date.now() + waitMs).toISOString();
    return new GaveUpError(
      `The API's rate limit on ${this.#options.name} asks for a wait of ${Math.ceil(waitMs / 1000)} s, longer than --max-wait ` +
        `(${Math.round(this.#options.maxWaitMs / 1000)} s) allows. What was loaded is safe: start again after ${comeBack}, ` +
        `or with a longer --max-wait.`,
    );
  }
}

/**
 * Bottleneck takes its time from the wall clock: after a job it would wait until a clock that was put back has caught up. A
 * distance of less than nothing between two jobs says that none ever waits for the clock; it counts from the first job on.
 */
function createQueue(): Bottleneck {
  const queue = new Bottleneck({ reservoir: 1, minTime: -Infinity });
  // Without a listener Bottleneck prints its own errors to the console.
  queue.on('error', () => undefined);
  void queue.schedule(async () => Promise.resolve());
  return queue;
}
