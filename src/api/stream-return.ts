/**
 * After the stream endpoint was left: looks whether it serves again, first after seconds, then each minute. A fallback that a
 * short fault has caused must not last for the rest of the run. No sockets: the client looks.
 */
import { setTimeout as sleep } from 'node:timers/promises';

export interface LookTimes {
  readonly firstMs: number;
  readonly thenMs: number;
}

export const USUAL_LOOKS: LookTimes = { firstMs: 5_000, thenMs: 60_000 };
/** It is not looked any more after this many returns in a row that were over before the next look would have been. */
const MAX_VAIN_RETURNS = 3;

export class StreamReturn {
  readonly #times: LookTimes;
  readonly #closing: AbortSignal;
  #returnedMs = -Infinity;
  #vainReturns = 0;

  constructor(times: LookTimes, closing: AbortSignal) {
    this.#times = times;
    this.#closing = closing;
  }

  /**
   * Begins when the stream endpoint has been left.
   * @param look never rejects
   * @returns true when it serves again, false when it is not looked any more
   * @throws when the client is closed
   */
  async wait(look: () => Promise<boolean>): Promise<boolean> {
    const { firstMs, thenMs } = this.#times;
    const wasVain = performance.now() - this.#returnedMs < thenMs;
    this.#vainReturns = wasVain ? this.#vainReturns + 1 : 0;
    if (this.#vainReturns >= MAX_VAIN_RETURNS) return false;
    await this.#sleep(wasVain ? thenMs : firstMs);
    while (!(await look())) await this.#sleep(thenMs);
    this.#returnedMs = performance.now();
    return true;
  }

  async #sleep(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#closing });
  }
}
