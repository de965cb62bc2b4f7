/**
 * Decides the next request of a walk, and gives up when requests bring nothing new. A walk goes on by cursor. If there is
 * no usable cursor, it begins a new chain by time, where the last one ended.
 */
import { NO_CURSOR, type PageRequest } from '../../api/api-client.ts';
import type { EncodedPage } from '../../core/encoded-page.ts';
import type { WindowState } from '../../core/state.ts';
import { turnTime, type WalkBounds } from '../../core/walk-time.ts';
import { isTrusted, lookFrom, type NextPage } from './cursor-age.ts';
import type { EndpointTraits } from './endpoint-traits.ts';
import { ChainProgress, TopRestarts, noNewEvents, noProgress } from './no-progress.ts';
import type { PageLimit } from './page-limit.ts';
import type { WalkPosition } from './walk-position.ts';

/** How far an endpoint can be asked by time. */
export interface ByTime {
  /** Which bounds select what is served. */
  readonly bounds: WalkBounds;
  /** A walk can go on at a time, because the order is that of the times. */
  readonly hasAnchors: boolean;
}

export class Chain {
  readonly #windowId: number;
  readonly #position: WalkPosition;
  readonly #limit: PageLimit;
  readonly #restarts = new TopRestarts();
  #progress = new ChainProgress();
  /** Events of the page accepted last; 0 before the first of this process. */
  latestPage = 0;
  /** Of its last event. */
  lastDigest: string | null = null;
  /** See {@link lookFromAbove}. */
  #above: NextPage | null = null;
  /** Events that were accepted since the chain was begun; `null`: another process has begun it. */
  served: number | null = null;
  /** The same, of whatever process; `null` where nobody knows. */
  #servedInAll: number | null;
  /** A chain was begun instead of it. Where that brings no page, it begins again: the cursor stands in another chain. */
  #leftCursor: string | null = null;
  /** Events above the window, which are not taken in; only a chain from the top of all has such. */
  #skipped = 0;
  /** What the API counts on the newest page that does; `null`: on none. */
  #total: number | null = null;
  /** What was served last of the window when the chain was cut off below it; `undefined`: it was not. */
  #cutBelowMs: number | null | undefined;
  /** Why the last cursor could not be used. */
  #brokenBy: string | null = null;

  /** Those that the chain was begun with; `null`: another process has begun it. */
  #bounds: Pick<PageRequest, 'sinceMs' | 'untilMs'> | null = null;
  readonly #keepsBounds: boolean;
  readonly #isOldestFirst: boolean;
  readonly #widenedMs: number;

  constructor(
    { windowId, untilMs, chainServed }: Pick<WindowState, 'windowId' | 'untilMs' | 'chainServed'>,
    position: WalkPosition,
    limit: PageLimit,
    traits: Pick<EndpointTraits, 'cursorsKeepBounds' | 'isOldestFirst' | 'widenedMs'>,
  ) {
    // What lay above a window is not remembered.
    this.#servedInAll = untilMs === null ? chainServed : null;
    this.#keepsBounds = traits.cursorsKeepBounds;
    this.#isOldestFirst = traits.isOldestFirst;
    this.#widenedMs = traits.widenedMs;
    this.#windowId = windowId;
    this.#position = position;
    this.#limit = limit;
  }

  /** @throws GaveUpError when the same place was begun at too often without getting further */
  request(next: NextPage, { bounds: takes, hasAnchors }: ByTime): Omit<PageRequest, 'signal'> {
    const { sinceMs, topMs, beginMs: fromMs, anchorMs, untilMs } = this.#position;
    const underMs = next.look?.underMs;
    if (underMs !== undefined) {
      const bounds = { sinceMs: takes.since ? sinceMs : null, untilMs: underMs };
      return { ...next, windowId: this.#windowId, limit: this.#limit.value, ...bounds };
    }
    const isOfOthers = this.#keepsBounds && this.#bounds === null;
    const wasLeft = next.cursor !== null && next.cursor === this.#leftCursor;
    const isLeft = !isTrusted(next) || isTooSmall(next, this.#limit.value) || isOfOthers || wasLeft;
    const isByCursor = next.cursor !== null && !(hasAnchors && anchorMs !== null && isLeft);
    if (!isByCursor) this.#leftCursor = next.cursor;
    else if (wasLeft) this.#servedInAll = null;
    const beginMs = hasAnchors ? fromMs : takes.until ? untilMs : null;
    // Chains from one anchor are told apart from others by the anchor, however far above it they begin.
    if (!isByCursor) this.#begin(next.page, hasAnchors ? topMs : beginMs);
    const isTop = next.across === 'top';
    const since = takes.since && next.across === undefined ? sinceMs : null;
    if (!isByCursor) this.#bounds = { sinceMs: since, untilMs: isTop ? null : beginMs };
    const ofCursor = { sinceMs: since, untilMs: isTop || !takes.until ? null : untilMs };
    const bounds = isByCursor && !this.#keepsBounds ? ofCursor : (this.#bounds ?? ofCursor);
    return {
      ...next,
      ...(isByCursor ? {} : NO_CURSOR),
      windowId: this.#windowId,
      limit: (isByCursor ? next.cursorLimit : null) ?? this.#limit.value,
      ...bounds,
    };
  }

  /** The cursor cannot be used. `why` is for the message, should the walk be given up. */
  noteBroken(why: string): void {
    this.#brokenBy = why;
  }

  /** Whether an accepted page of this chain began with the events that this one begins with, two at least. */
  hasServed(page: EncodedPage): boolean {
    return this.#progress.knows(page);
  }

  /**
   * How the end that an answer seems to be is looked at from above; `null`: it cannot.
   * @param page which is accepted; `null`: there are no events
   */
  lookFromAbove(
    request: Omit<PageRequest, 'signal'>,
    page: Pick<EncodedPage, 'servedCount'> | null,
    isDoubtful: boolean,
    original: NextPage | null = null,
  ): NextPage | null {
    const from = page === null ? this.#above : lookFrom(request, page.servedCount);
    const look = { step: 'from', original, isDoubtful } as const;
    return from === null ? null : { ...from, page: page === null ? request.page : request.page + 1, look };
  }

  /** How the end is looked at from under it: below what was served last; `null`: nothing of the window lies there. */
  lookUnder(page: number): NextPage | null {
    const { servedToMs, sinceMs } = this.#position;
    const underMs = (servedToMs ?? -Infinity) - this.#widenedMs - 1;
    if (underMs <= (sinceMs ?? -Infinity)) return null;
    return { page, ...NO_CURSOR, look: { step: 'under', original: null, isDoubtful: false, underMs } };
  }

  /**
   * Whether the chain may be cut off, because it has served `cap` events with these. Below the window it may be once: if a chain by time
   * comes no further before it is there again, nothing of the window is left.
   */
  isCutAt(cap: number, events: number, { hasAnchors }: Pick<ByTime, 'hasAnchors'>): boolean {
    if (cap === Infinity || (this.#servedInAll ?? cap) + this.#skipped + events < cap) return false;
    const { endsBelow, servedToMs } = this.#position;
    const isAgain = hasAnchors && endsBelow && this.#cutBelowMs === servedToMs;
    this.#cutBelowMs = endsBelow ? servedToMs : undefined;
    return !isAgain;
  }

  /** A page lies above the window. */
  noteSkipped(page: EncodedPage): void {
    this.#skipped += page.servedCount;
    this.#total = page.envelope.total ?? this.#total;
  }

  /** Whether the API counts more than the chain has served with this page, which ends it. Unknown is short, where it counts at all. */
  isShortOf(page: EncodedPage | null): boolean {
    const total = page?.envelope.total ?? this.#total;
    if (total === null) return false;
    return this.served === null || this.served + this.#skipped + (page?.servedCount ?? 0) < total;
  }

  /** The page is about to be accepted. @throws GaveUpError when page after page brings no new event */
  noteAccepted(request: PageRequest, page: EncodedPage): void {
    // The cursors of what is begun may be in the same words.
    this.#leftCursor = null;
    this.latestPage = page.servedCount;
    if (this.served !== null) this.served += page.servedCount;
    if (this.#servedInAll !== null) this.#servedInAll += page.servedCount;
    this.#total = page.envelope.total ?? this.#total;
    this.lastDigest = page.places.lastDigest ?? this.lastDigest;
    this.#above = lookFrom(request, page.servedCount) ?? this.#above;
    this.#restarts.note(page.servedCount);
    if (this.#progress.note(page)) throw noNewEvents(request);
  }

  /**
   * Begins a new chain, by a request without a cursor. The API may then serve again what was accepted before. That does
   * not mean that the walk stands still, as long as each chain gets further than those before it.
   */
  #begin(page: number, untilMs: number | null): void {
    this.#position.beginAgain();
    this.#above = null;
    this.served = 0;
    this.#servedInAll = 0;
    this.#skipped = 0;
    const before = this.#restarts.begin(untilMs);
    if (before === 'too-often') {
      const fromMs = untilMs === null ? null : turnTime(untilMs, this.#isOldestFirst);
      throw noProgress({ windowId: this.#windowId, page, fromMs }, this.#brokenBy);
    }
    if (before !== 'nothing') this.#progress = new ChainProgress();
    // The times of a page may not descend. Those of a smaller page are more likely to.
    if (before === 'no-further' && untilMs !== null) this.#limit.shrink(2);
    // The same is asked for again: the answer must not come from the API's cache.
    if (before === 'further' || before === 'no-further') this.#limit.reduce();
  }
}

/** The pages of a cursor that may count them stay as small as the first: a chain by time can have larger ones. */
function isTooSmall({ cursorLimit }: NextPage, limit: number): boolean {
  return typeof cursorLimit === 'number' && cursorLimit <= limit / 2;
}
