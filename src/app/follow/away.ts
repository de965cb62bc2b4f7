/** An API or a database that does not serve: a job that follows waits for it, and says so once, and once when that is over. */
import type { Clock } from '../../core/clock.ts';
import { JobError } from '../../core/errors.ts';
import type { Logger } from '../../core/logging.ts';
import type { JobCounters } from '../run/job-counters.ts';
import { pauseAfter } from './round-plan.ts';

export interface AwayParts {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly counters: Pick<JobCounters, 'followed'>;
}

export class Away {
  readonly #parts: AwayParts;
  /** When it was first missed, ms of the clock's `elapsedMs`; `null` while it serves. */
  #sinceMs: number | null = null;

  constructor(parts: AwayParts) {
    this.#parts = parts;
  }

  get isAway(): boolean {
    return this.#sinceMs !== null;
  }

  note({ message: reason }: JobError): void {
    if (this.#sinceMs !== null) return;
    const { logger, clock, counters } = this.#parts;
    this.#sinceMs = clock.elapsedMs();
    counters.followed({ away: { sinceMs: clock.now(), reason } });
    logger.warn({ reason }, 'waiting until it can go on; nothing is lost');
  }

  noteServed(): void {
    if (this.#sinceMs === null) return;
    const { logger, clock, counters } = this.#parts;
    const seconds = Math.round((clock.elapsedMs() - this.#sinceMs) / 1000);
    this.#sinceMs = null;
    counters.followed({ away: null });
    logger.info({ seconds }, 'going on after the wait');
  }
}

/**
 * The first contact of a job that follows: it waits for what is away as its rounds do.
 * @param contact is told how often it has failed in a row
 * @throws what waiting does not mend; the signal's reason
 */
export async function untilReached<T>(
  contact: (failures: number) => Promise<T>,
  intervalMs: number,
  stopped: AbortSignal,
  parts: AwayParts,
): Promise<T> {
  const away = new Away(parts);
  for (let failures = 0; ; failures += 1) {
    try {
      const reached = await contact(failures);
      away.noteServed();
      return reached;
    } catch (error) {
      stopped.throwIfAborted();
      if (!(error instanceof JobError) || error.mendedBy !== 'time') throw error;
      away.note(error);
      await parts.clock.wait(pauseAfter(failures, intervalMs), stopped);
      stopped.throwIfAborted();
    }
  }
}
