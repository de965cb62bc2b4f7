/**
 * Decides the next request of a walk, and gives up when requests bring nothing new. A walk goes on by cursor. If there is
 * no usable cursor, it begins a new chain: by time, or from the newest event of all where the endpoint takes no times.
 */
import { NO_CURSOR, type PageRequest } from '../../api/api-client.ts';
import type { EncodedPage } from '../../core/encoded-page.ts';
import { isTrusted, type NextPage } from './cursor-age.ts';
import { ChainProgress, TopRestarts, noNewEvents, noProgress } from './no-progress.ts';
import type { PageLimit } from './page-limit.ts';
import type { WalkPosition } from './walk-position.ts';

export class Chain {
  readonly #windowId: number;
  readonly #position: WalkPosition;
  readonly #limit: PageLimit;
  readonly #restarts = new TopRestarts();
  #progress = new ChainProgress();
  #isSkipping = false;
  /** Why the last cursor could not be used. */
  #brokenBy: string | null = null;

  constructor(windowId: number, position: WalkPosition, limit: PageLimit) {
    this.#windowId = windowId;
    this.#position = position;
    this.#limit = limit;
  }

  /** The chain began above what is accepted already, and has not come down to it yet. */
  get isSkipping(): boolean {
    return this.#isSkipping;
  }

  /** @throws GaveUpError when the same place was begun at too often without getting further */
  request(next: NextPage, supportsTimeBounds: boolean): Omit<PageRequest, 'signal'> {
    const { sinceMs, topMs, anchorMs, untilMs } = this.#position;
    const isByCursor = next.cursor !== null && !(supportsTimeBounds && anchorMs !== null && !isTrusted(next));
    if (!isByCursor) this.#begin(next.page, supportsTimeBounds ? topMs : null);
    return {
      ...next,
      ...(isByCursor ? {} : NO_CURSOR),
      windowId: this.#windowId,
      limit: this.#limit.value,
      sinceMs: supportsTimeBounds ? sinceMs : null,
      untilMs: supportsTimeBounds ? (isByCursor ? untilMs : topMs) : null,
    };
  }

  /** The cursor cannot be used. `why` is for the message, should the walk be given up. */
  noteBroken(why: string): void {
    this.#brokenBy = why;
  }

  /** A page was served on the way down; taken in by the position already. */
  noteServed(page: Pick<EncodedPage, 'servedCount'>): void {
    this.#restarts.note(page.servedCount);
  }

  /** The page is about to be accepted. @throws GaveUpError when page after page brings no new event */
  noteAccepted(request: PageRequest, page: EncodedPage): void {
    this.#isSkipping = false;
    if (this.#progress.note(page)) throw noNewEvents(request);
  }

  /**
   * Begins a new chain, by a request without a cursor. The API may then serve pages again that were accepted before. They
   * do not mean that the walk stands still, as long as each chain gets further than those before it.
   */
  #begin(page: number, untilMs: number | null): void {
    const before = this.#restarts.begin(untilMs);
    if (before === 'too-often') throw noProgress({ windowId: this.#windowId, page, untilMs }, this.#brokenBy);
    if (before !== 'nothing') this.#progress = new ChainProgress();
    // The times of a page may not descend. Those of a smaller page are more likely to.
    if (before === 'no-further' && untilMs !== null) this.#limit.shrink(2);
    // The same is asked for again: the answer must not come from the API's cache.
    if (before === 'further' || before === 'no-further') this.#limit.reduce();
    this.#isSkipping = untilMs === null && this.#position.topMs !== null;
  }
}
