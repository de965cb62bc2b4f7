/**
 * Where a walk is inside its window, by the times of its pages. Pure: no clock, no requests.
 *
 * By these times a walk is anchored when its cursor dies, divided, and ended where the endpoint does not end it. One event can
 * have a wrong clock, so no single time is believed. The last time of a page moves the anchor only when the page's times
 * descend inside the window, and a sudden jump must show twice. Otherwise the newest of the page's last few times moves it:
 * that leaves nothing out, at worst a few events are served again. And the anchor lags some events behind the end: where an API
 * serves by arrival, the last event can be a late one, and from its time down what lies between would never be asked for. A
 * request from above it shows that the order is not the time's.
 */
import type { EncodedPage, PagePlaces, PageTimes } from '../../core/encoded-page.ts';
import type { WindowState } from '../../core/state.ts';
import { PlaceCounter } from './places.ts';

/** Fewer events at the end of a page do not show that it descends through the bound: clocks can be wrong. */
const PROVING_EVENTS = 10;
/**
 * So many on whole pages in a row, below the window, prove that the walk has left it: where an API serves by arrival, late events
 * can come together, with events of the window behind them.
 */
const LEAVING_EVENTS = 100;
/** The last time of a page is suspicious when it is this far behind the others, in time and in pages at the pace so far. */
const JUMP_MS = 60_000;
const JUMP_PAGES = 3;
/** How many events the anchor lags behind the end, at most: half of what its chain has served, so that each chain gets further. */
const LAG_EVENTS = 25;
/** Bounds are sent widened by this much. */
const SLACK_MS = 1;

/** How far above its anchor a chain by time begins; each further one where the one before did not reach what was served there. */
const RAISES_MS = [0, 10, 1_000, 60_000, 3_600_000, 86_400_000, Infinity];

type TimedPage = Pick<EncodedPage, 'times' | 'servedCount'>;
type PlacedPage = TimedPage & { readonly places: Pick<PagePlaces, 'timesMs'> };

export class WalkPosition {
  readonly untilMs: number | null;
  /**
   * Rises when the window is split: what lies below belongs to another window. A page that is on its way then may reach below;
   * what it has there is not counted here, and the merge removes what comes twice.
   */
  sinceMs: number | null;
  /** Counts the places of the window. */
  readonly counter: PlaceCounter;
  readonly #pageSize: number;
  #anchorMs: number | null;
  #walkedToMs: number | null;
  /** The last time of the last page in serving order, epoch ms; `null` when a chain begins, or nothing is known. */
  pageEndMs: number | null;
  /** The oldest time served that lies in the window. */
  #lastInsideMs: number | null = null;
  #eventsPerMs: number | null = null;
  #doubtedEndMs: number | null = null;
  /** Where the chain began, epoch ms; Infinity: at the top of everything. */
  #beganMs: number;
  /** Times of the chain's last events below that, in serving order. */
  #tailMs: number[] = [];
  /** Index of {@link RAISES_MS}. */
  #raised = 0;
  /** Events on the latest pages, as far as these lie below the window. */
  #olderEvents = 0;
  /** Pages that were seen to come newest first, minus those seen to come oldest first. */
  #newestFirstVotes = 0;

  constructor(
    state: Pick<WindowState, 'sinceMs' | 'untilMs' | 'anchorMs' | 'lastEventMs' | 'edge' | 'pageEndMs'>,
    options: { readonly pageSize: number; readonly eventsPerMs?: number | null },
  ) {
    this.sinceMs = state.sinceMs;
    this.untilMs = state.untilMs;
    this.#anchorMs = state.anchorMs;
    this.#beganMs = this.topMs ?? Infinity;
    this.#walkedToMs = state.lastEventMs ?? state.untilMs;
    this.counter = new PlaceCounter(state.edge);
    this.pageEndMs = state.pageEndMs;
    this.#lastInsideMs = state.edge !== null && this.#isAboveSince(state.edge.atMs) ? state.edge.atMs : null;
    this.#pageSize = options.pageSize;
    this.#eventsPerMs = options.eventsPerMs ?? null;
  }

  /** Where the walk can go on by time (`until`), epoch ms; `null` until a page shows it. */
  get anchorMs(): number | null {
    return this.#anchorMs;
  }

  /**
   * Asks from higher up: the API did not serve from {@link topMs} down what was served there before, so it goes by other times than
   * it shows, or cuts bounds. @returns false when the window's own bound was asked from already
   */
  raise(): boolean {
    const beforeMs = this.beginMs;
    this.#raised = Math.min(this.#raised + 1, RAISES_MS.length - 1);
    return this.beginMs !== beforeMs;
  }

  /** Where a chain by time begins, epoch ms: {@link topMs}, or above it. */
  get beginMs(): number | null {
    if (this.#anchorMs === null || this.#raised === 0) return this.topMs;
    const raisedMs = this.#anchorMs + (RAISES_MS[this.#raised] ?? Infinity);
    if (this.untilMs !== null) return Math.min(raisedMs, this.untilMs);
    return Number.isFinite(raisedMs) ? raisedMs : null;
  }

  /** The top of what is left: the anchor, else the window's own bound. */
  get topMs(): number | null {
    return this.#anchorMs ?? this.untilMs;
  }

  /** Whether it has bounds at all. */
  get isLimited(): boolean {
    return this.sinceMs !== null || this.untilMs !== null;
  }

  /** How far down it has been read, epoch ms; `null` before the first page of a window without an upper bound. */
  get walkedToMs(): number | null {
    return this.#walkedToMs;
  }

  /** Below this nothing has been served yet, epoch ms: where the window can be divided. */
  get unservedToMs(): number | null {
    const edgeMs = this.counter.edge?.atMs ?? null;
    return this.#walkedToMs === null || edgeMs === null ? this.#walkedToMs : Math.min(this.#walkedToMs, edgeMs);
  }

  /** Whether the chain's latest page ended below the window. */
  get endsBelow(): boolean {
    return this.sinceMs !== null && this.pageEndMs !== null && this.pageEndMs < this.sinceMs;
  }

  /** The time of an event that a request from {@link topMs} down must bring again, epoch ms; `null` when there is none. */
  get servedToMs(): number | null {
    return this.#lastInsideMs !== null && this.#isAboveSince(this.#lastInsideMs) ? this.#lastInsideMs : null;
  }

  /** By the newest page, or a guess; `null` when nothing is known. */
  get eventsPerMs(): number | null {
    return this.#eventsPerMs;
  }

  /**
   * The end of the last page is asked about by time: from a quarter of a page above it, so that the answer shows the order there, and
   * reaches below it. No page need have shown an anchor: a widened bound can bring a page of which only the first events lie inside.
   * @param pageEvents of the last page
   */
  approachEnd(pageEvents: number): void {
    const { servedToMs } = this;
    if (servedToMs === null) return;
    const aboveMs = this.#tailMs.at(-1 - Math.min(LAG_EVENTS, pageEvents >> 2)) ?? -Infinity;
    this.#anchorMs = Math.min(this.topMs ?? Infinity, Math.ceil(Math.max(servedToMs, aboveMs)));
  }

  /** What was served last is in doubt: the window is walked again from its own bound. */
  forgetAnchor(): void {
    this.#anchorMs = null;
  }

  /** The next page begins a chain. */
  beginAgain(): void {
    this.pageEndMs = null;
    this.#beganMs = this.topMs ?? Infinity;
    this.#tailMs = [];
    this.counter.beginAgain();
  }

  /** Takes in a page of the window, in order. */
  note({ times, servedCount, places }: PlacedPage): void {
    this.#raised = 0;
    if (times === null) return;
    this.pageEndMs = times.lastMs;
    const insideMs = places.timesMs.findLast((timeMs) => !Number.isNaN(timeMs) && this.#isAboveSince(timeMs));
    if (insideMs !== undefined) this.#lastInsideMs = Math.min(insideMs, this.#lastInsideMs ?? insideMs);
    if (times.newestMs > times.oldestMs) {
      if (times.descending) this.#newestFirstVotes += 1;
      else if (times.lastMs === times.newestMs) this.#newestFirstVotes -= 1;
    }
    const isThrough = times.descending && !this.#isAboveSince(places.timesMs.at(-PROVING_EVENTS) ?? Infinity);
    const endMs = this.#endOf(times, servedCount, isThrough ? insideMs : undefined);
    if (endMs === null) return;
    const fromMs = times.descending ? times.newestMs : (this.#walkedToMs ?? times.newestMs);
    // A little below the window, a request from there down would not bring again what was served last inside of it.
    const lastMs = this.#isAboveSince(endMs) ? endMs : Math.max(endMs, this.#lastInsideMs ?? endMs);
    this.#anchorMs = Math.min(this.topMs ?? Infinity, Math.ceil(Math.max(lastMs, this.#laggingMs(places.timesMs))));
    this.#walkedToMs = Math.min(endMs, this.#walkedToMs ?? endMs);
    this.#eventsPerMs = servedCount / Math.max(1, fromMs - endMs);
  }

  /**
   * The time at which a page ends, or a later one: going on from there leaves nothing out. `null` when its times do not
   * show it, or lie outside of what is left.
   * @param throughMs where the page descends through the lower bound: its last time above that
   */
  #endOf(times: PageTimes, servedCount: number, throughMs: number | undefined): number | null {
    if (throughMs !== undefined && this.#isInside(throughMs)) return throughMs;
    if (times.descending && this.#isInside(times.lastMs) && !this.#isJump(times, servedCount)) return times.lastMs;
    return this.#isInside(times.tailNewestMs) ? times.tailNewestMs : null;
  }

  /** Where the anchor lags to, epoch ms; -Infinity where the chain has served too little. */
  #laggingMs(timesMs: PagePlaces['timesMs']): number {
    const belowMs = [...timesMs.slice(-2 * LAG_EVENTS)].filter((timeMs) => Math.ceil(timeMs) < this.#beganMs);
    this.#tailMs = [...this.#tailMs, ...belowMs].slice(-2 * LAG_EVENTS);
    return this.#tailMs.at(-1 - (this.#tailMs.length >> 1)) ?? -Infinity;
  }

  /** Whether the walk has left its window with this page. Call it once for each page, after {@link note}. */
  isPastWindow({ times, servedCount }: TimedPage): boolean {
    const isOlder =
      this.sinceMs !== null &&
      times !== null &&
      times.newestMs < this.sinceMs - SLACK_MS &&
      // Where the oldest events come first, everything is still to come.
      this.#newestFirstVotes > 0;
    this.#olderEvents = isOlder ? this.#olderEvents + servedCount : 0;
    return this.#olderEvents >= LEAVING_EVENTS;
  }

  /** Whether all of a page lies above the window: an endpoint without time bounds begins with the newest event of all. */
  isAboveWindow({ times }: TimedPage): boolean {
    return this.untilMs !== null && times !== null && times.oldestMs > this.untilMs + SLACK_MS;
  }

  /** Whether a time lies in the window. */
  contains(timeMs: number): boolean {
    return this.#isAboveSince(timeMs) && (this.untilMs === null || timeMs < this.untilMs);
  }

  /** Whether a page reaches below the window. */
  reachesBelow({ times }: TimedPage): boolean {
    return times !== null && !this.#isAboveSince(times.oldestMs + SLACK_MS);
  }

  /** Whether the page after the next one probably lies below the window. */
  get isNearEnd(): boolean {
    if (this.sinceMs === null) return false;
    if (this.#walkedToMs === null || this.#eventsPerMs === null) return true;
    return this.#walkedToMs - (2 * this.#pageSize) / this.#eventsPerMs < this.sinceMs;
  }

  #isAboveSince(timeMs: number): boolean {
    return this.sinceMs === null || timeMs >= this.sinceMs;
  }

  /** Inside the window, and not above where the walk is. */
  #isInside(timeMs: number): boolean {
    const anchorMs = Math.ceil(timeMs);
    return (
      (this.sinceMs === null || anchorMs >= this.sinceMs - SLACK_MS) &&
      (this.#anchorMs === null || anchorMs <= this.#anchorMs) &&
      (this.untilMs === null || anchorMs <= this.untilMs + SLACK_MS)
    );
  }

  /** A last time that is far behind the others is an event after a gap in the data, or one with a wrong clock. */
  #isJump({ newestMs, lastMs, tailNewestMs }: PageTimes, servedCount: number): boolean {
    const gapMs = tailNewestMs - lastMs;
    const eventsPerMs = this.#eventsPerMs ?? servedCount / Math.max(1, newestMs - tailNewestMs);
    if (gapMs <= JUMP_MS || gapMs * eventsPerMs <= JUMP_PAGES * this.#pageSize) return false;
    const isDoubted = this.#doubtedEndMs !== lastMs;
    this.#doubtedEndMs = lastMs;
    return isDoubted;
  }
}
