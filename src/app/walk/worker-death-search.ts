/**
 * Finds the one event of a page that kills every worker that encodes it: the page is retried unchanged once, then asked for
 * in ever smaller parts until the event stands alone; alone it is tried once more, and then it is rejected.
 */
import type { PageLimit } from './page-limit.ts';

const SHRINK_FACTOR = 4;

export class WorkerDeathSearch {
  readonly #limit: PageLimit;
  #deaths = 0;
  /** The last worker died of a page of one event. */
  #killsAlone = false;

  constructor(limit: PageLimit) {
    this.#limit = limit;
  }

  /** Whether a page of `requested` events holds the event that was found: the encoder sets it aside if it kills again. */
  isFound(requested: number): boolean {
    return this.#killsAlone && requested === 1;
  }

  /** A worker died of a page of at most `requested` events. */
  died(requested: number): void {
    this.#deaths += 1;
    this.#killsAlone = requested === 1;
    if (this.#deaths > 1) this.#limit.shrink(SHRINK_FACTOR);
  }

  /** The page was encoded, or its only event set aside: full pages are asked for again. */
  survived(): void {
    if (this.#killsAlone) this.#limit.restore();
    this.#deaths = 0;
    this.#killsAlone = false;
  }
}
