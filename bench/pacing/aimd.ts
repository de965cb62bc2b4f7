import type { PacingTicket } from '../../src/api/pacing-policy.ts';
import type { Pacing } from '../../test/support/pacing/virtual-pacing.ts';

const FIRST_RPS = 1;
const SLOWEST_RPS = 0.01;
/** Of the rate, a second. */
const GROWTH = 0.05;
const CUT = 0.5;

/** Evenly spaced. The rate doubles each second up to the first refusal; then it grows by a constant, and is halved by a refusal. */
export class Aimd implements Pacing {
  #rps = FIRST_RPS;
  #stepRps: number | null = null;
  #changedMs = 0;
  #lastMs = -Infinity;
  #untilMs = -Infinity;
  #sent = 0;

  nextStartMs(): number {
    return Math.max(this.#untilMs, this.#lastMs + 1000 / this.#rps);
  }

  started(nowMs: number): PacingTicket {
    this.#lastMs = nowMs;
    this.#sent += 1;
    return { number: this.#sent, startMs: nowMs };
  }

  answered(...[ticket, result, notice, nowMs]: Parameters<Pacing['answered']>): void {
    const elapsedS = (nowMs - this.#changedMs) / 1000;
    if (result === 'served') {
      this.#rps = this.#stepRps === null ? this.#rps * 2 ** elapsedS : this.#rps + this.#stepRps * elapsedS;
      this.#changedMs = nowMs;
      return;
    }
    if (notice.retryAfterMs !== null) this.#untilMs = Math.max(this.#untilMs, nowMs + notice.retryAfterMs);
    // What was on its way when the rate was cut brings the same news.
    if (ticket.startMs < this.#changedMs && this.#stepRps !== null) return;
    this.#rps = Math.max(SLOWEST_RPS, this.#rps * CUT);
    this.#stepRps = this.#rps * GROWTH;
    this.#changedMs = nowMs;
  }
}
