import type { PacingTicket } from '../../../src/api/pacing-policy.ts';
import type { Pacing } from './virtual-pacing.ts';

/** What plain policies have in common: they number their requests, and wait for a moment. */
export abstract class PlainPacing implements Pacing {
  protected untilMs = -Infinity;
  #sent = 0;

  nextStartMs(): number {
    return this.untilMs;
  }

  started(nowMs: number): PacingTicket {
    this.#sent += 1;
    return { number: this.#sent, startMs: nowMs };
  }

  abstract answered(...answer: Parameters<Pacing['answered']>): void;

  protected waitUntil(untilMs: number): void {
    this.untilMs = Math.max(this.untilMs, untilMs);
  }
}
