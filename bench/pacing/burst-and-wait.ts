import { PlainPacing } from '../../test/support/pacing/plain-pacing.ts';
import type { Pacing } from '../../test/support/pacing/virtual-pacing.ts';

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;

/** Sends until it is refused, or nothing is left, and waits as it is told; without a word twice as long each time. */
export class BurstAndWait extends PlainPacing {
  #waitMs = FIRST_WAIT_MS;

  answered(...[ticket, result, notice, nowMs]: Parameters<Pacing['answered']>): void {
    if (notice.remaining === 0 && notice.resetMs !== null) this.waitUntil(nowMs + notice.resetMs);
    if (result === 'served') this.#waitMs = FIRST_WAIT_MS;
    // What was on its way brings the same news.
    if (result !== 'refused' || ticket.startMs < this.untilMs - this.#waitMs) return;
    if (notice.retryAfterMs !== null) this.waitUntil(nowMs + notice.retryAfterMs);
    else {
      this.waitUntil(nowMs + this.#waitMs);
      this.#waitMs = Math.min(LONGEST_WAIT_MS, this.#waitMs * 2);
    }
  }
}
