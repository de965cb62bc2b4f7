/** A clock that a test moves: a wait ends when the test lets it, and a week passes in seconds. */
import type { Clock } from '../../../src/core/clock.ts';

export class VirtualClock implements Clock {
  #nowMs: number;
  readonly #startMs: number;
  /** Called when somebody waits, with the moment at which that ends; what it does happens meanwhile. */
  onWait: (untilMs: number) => Promise<void> | void = () => undefined;

  constructor(startMs: number) {
    this.#startMs = startMs;
    this.#nowMs = startMs;
  }

  readonly now = (): number => this.#nowMs;
  readonly elapsedMs = (): number => this.#nowMs - this.#startMs;

  readonly wait = async (ms: number, signal: AbortSignal): Promise<void> => {
    const untilMs = this.#nowMs + ms;
    await this.onWait(untilMs);
    if (!signal.aborted) this.#nowMs = Math.max(this.#nowMs, untilMs);
  };

  /** Time passes for whoever asks. */
  pass(ms: number): void {
    this.#nowMs += ms;
  }
}
