/**
 * Where a walk is inside its window, told by the times of its pages. Pure: no clock, no requests.
 *
 * Times are what the walk is anchored by when a cursor dies, what it is split by, and what ends it where the endpoint
 * does not. An event can carry a wrong clock, so no single time is believed: only a page whose times descend moves the
 * anchor, only inside the window, and a sudden jump has to be said twice.
 */
import type { EncodedPage } from '../../workers/protocol.ts';
import type { WindowState } from '../core/state.ts';

/** A page with fewer events than this needs a second one to prove that the walk has left its window. */
const TELLING_EVENTS = 10;
/** What makes the time that a page spans suspicious: so long, and so many pages' worth at the pace of the page before. */
const JUMP_MS = 86_400_000;
const JUMP_PAGES = 50;
/** Bounds are sent widened, so that much outside of them is still inside. */
const SLACK_MS = 1;

type TimedPage = Pick<EncodedPage, 'times' | 'servedCount'>;

export class WalkPosition {
  readonly untilMs: number | null;
  /** Rises when the window is split: what lies below belongs to another one. */
  sinceMs: number | null;
  readonly #pageSize: number;
  #anchorMs: number | null;
  #walkedToMs: number | null;
  #eventsPerMs: number | null = null;
  #doubtedAnchorMs: number | null = null;
  #olderPages = 0;
  /** Pages that were seen to come newest first, minus those seen to come oldest first. */
  #newestFirstVotes = 0;

  constructor(
    state: Pick<WindowState, 'sinceMs' | 'untilMs' | 'anchorMs' | 'lastEventMs'>,
    options: { readonly pageSize: number; readonly eventsPerMs?: number | null },
  ) {
    this.sinceMs = state.sinceMs;
    this.untilMs = state.untilMs;
    this.#anchorMs = state.anchorMs;
    this.#walkedToMs = state.lastEventMs ?? state.untilMs;
    this.#pageSize = options.pageSize;
    this.#eventsPerMs = options.eventsPerMs ?? null;
  }

  /** Where the walk can go on by time (`until`), epoch ms; `null` before the first page that tells. */
  get anchorMs(): number | null {
    return this.#anchorMs;
  }

  /** The top of what is left: the anchor, else the window's own bound. */
  get topMs(): number | null {
    return this.#anchorMs ?? this.untilMs;
  }

  /** How far down it has been read, epoch ms; `null` before the first page of a window without an upper bound. */
  get walkedToMs(): number | null {
    return this.#walkedToMs;
  }

  /** By the newest page, or a guess; `null` when nothing is known. */
  get eventsPerMs(): number | null {
    return this.#eventsPerMs;
  }

  /** Takes in a page of the window, in order. */
  note({ times, servedCount }: TimedPage): void {
    if (times === null) return;
    if (times.newestMs > times.oldestMs) {
      if (times.descending) this.#newestFirstVotes += 1;
      else if (times.lastMs === times.newestMs) this.#newestFirstVotes -= 1;
    }
    const anchorMs = Math.ceil(times.lastMs);
    if (!this.#isInside(anchorMs)) return;
    const fromMs = times.descending ? times.newestMs : (this.#walkedToMs ?? times.newestMs);
    const spanMs = Math.max(0, fromMs - times.lastMs);
    if (this.#isJump(anchorMs, spanMs)) return;
    // For judging how much is left, a page with a wrong clock in it is good enough; an anchor could lose events.
    if (times.descending) this.#anchorMs = anchorMs;
    if (this.#walkedToMs === null || times.lastMs <= this.#walkedToMs) this.#walkedToMs = times.lastMs;
    this.#eventsPerMs = servedCount / Math.max(1, spanMs);
  }

  /** Whether the walk has left its window with this page, which has been taken in by {@link note}. To be asked once a page. */
  endsBelow({ times, servedCount }: TimedPage): boolean {
    const isOlder =
      this.sinceMs !== null &&
      times !== null &&
      times.newestMs < this.sinceMs - SLACK_MS &&
      // An endpoint that serves the oldest first has everything still to come.
      this.#newestFirstVotes > 0;
    this.#olderPages = isOlder ? this.#olderPages + 1 : 0;
    return isOlder && (servedCount >= TELLING_EVENTS || this.#olderPages > 1);
  }

  /** Whether all of a page lies above what is left. */
  liesAbove({ times }: TimedPage): boolean {
    const { topMs } = this;
    return topMs !== null && times !== null && times.oldestMs > topMs + SLACK_MS;
  }

  /** Whether the page after the next one probably lies below the window. */
  get isNearEnd(): boolean {
    if (this.sinceMs === null) return false;
    if (this.#walkedToMs === null || this.#eventsPerMs === null) return true;
    return this.#walkedToMs - (2 * this.#pageSize) / this.#eventsPerMs < this.sinceMs;
  }

  /** An anchor lies inside its window, and not above the one before. */
  #isInside(anchorMs: number): boolean {
    return (
      (this.sinceMs === null || anchorMs >= this.sinceMs - SLACK_MS) &&
      (this.#anchorMs === null || anchorMs <= this.#anchorMs) &&
      (this.untilMs === null || anchorMs <= this.untilMs + SLACK_MS)
    );
  }

  /** A page that spans far more time than the last ends in a gap of the data, or in an event with a wrong clock. */
  #isJump(anchorMs: number, spanMs: number): boolean {
    const isLong =
      spanMs > JUMP_MS && this.#eventsPerMs !== null && spanMs * this.#eventsPerMs > JUMP_PAGES * this.#pageSize;
    if (!isLong || this.#doubtedAnchorMs === anchorMs) return false;
    this.#doubtedAnchorMs = anchorMs;
    return true;
  }
}
