/**
 * How many places of the API's list a page brings that this run has not counted yet. Pure.
 *
 * Where times descend, windows are half-open ranges `[since, until)` that divide time: an event counts for the window in
 * whose range its time lies, and nowhere else, however often windows overlap. Inside a window, what lies above the end of
 * the last page has been counted. So ids decide in one case alone: events of the very instant at which the last page ended,
 * when a chain begins there again, or when each cursor repeats the event it stands on.
 *
 *   until ┤ counted, not counted again
 *   edge  ┤ one instant: an id counts as often as the serving that had it most often
 *         │ every serving counts
 *   since ┤ belongs to the next window
 *
 * An event without a time lies where its neighbours lie. Where these are on both sides of a border it is `unsure`. Where they lie beyond
 * the border, and came because bounds are sent widened, it is unsure, too: the API may go by a time that it does not show, and serve the
 * event in this window alone.
 */
import type { PagePlaces } from '../../core/encoded-page.ts';
import { takeOne, tally } from './key-counts.ts';
import { sharedEnd } from './shared-end.ts';
import { NO_PLACES, type CountMarks, type PlaceCounts, type WalkEdge } from '../../core/state.ts';

/** Keys at one instant that are remembered; more make what comes again unsure. */
const MAX_KEYS = 1_000_000;

export interface CountedRange {
  /** `[sinceMs, untilMs)`; `null` is open. */
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
  /** How far outside of its bounds a window is served events. */
  readonly widenedMs: number;
  /** False: the API's order is not that of the times, and one chain brings all of the range. */
  readonly isOrderedByTime: boolean;
  /** The page begins with the first event of its instant, whatever came of that before. */
  readonly beginsInstant?: boolean;
}

/** A chain that began at or above the edge, and has not come below it yet. */
interface Overlap {
  readonly atMs: number;
  /** What was counted at the edge and not served again yet; `null`: too much to be remembered. */
  readonly left: Map<string, number> | null;
}

/** Counts the pages of one window, in order. */
export class PlaceCounter {
  #edge: WalkEdge | null;
  #overlap: Overlap | null = null;
  /** Of the last event of the page before; for events without a time. */
  #lastDigest: string | null = null;
  /** Key of the event that a cursor brought again last: one that comes at the next border, too, is an id that the API has often. */
  #repeatedKey: string | null = null;
  /** Keys of all events of the page before in this chain, where no times tell their order. */
  keysBefore: readonly string[] = [];

  constructor(edge: WalkEdge | null) {
    this.#edge = edge;
  }

  get edge(): WalkEdge | null {
    return this.#edge;
  }

  /**
   * Whether a page that begins a chain by time joins what was served: it has an event from above the edge, or one that was counted
   * there. Else there can be events between them that nobody has served.
   */
  joins({ timesMs, instantKeys }: PagePlaces): boolean {
    const edge = this.#edge;
    if (edge === null || edge.keys === null) return true;
    const keys = new Set(edge.keys);
    return instantKeys.some((key) => keys.has(key)) || timesMs.some((timeMs) => timeMs > edge.atMs);
  }

  /** The next page begins a chain, at or above the edge. */
  beginAgain(): void {
    this.#lastDigest = null;
    this.keysBefore = [];
    this.#beginEdge();
  }

  /** What is served of the edge from now on comes again. */
  #beginEdge(): void {
    if (this.#edge !== null) this.#overlap = { atMs: this.#edge.atMs, left: tally(this.#edge.keys) };
  }

  /**
   * Takes in a page.
   * @returns also where it ends, with the keys by which {@link edge} has grown; `null`: where the page before it ended
   */
  count(page: PagePlaces, range: CountedRange, marks: CountMarks): PlaceCounts & { readonly added: WalkEdge | null } {
    const { timesMs, instantKeys } = page;
    if (range.beginsInstant === true && this.#overlap !== null) this.#beginEdge();
    const overlap = range.isOrderedByTime ? this.#overlap : null;
    const edge = this.#edge;
    const counts = { ...NO_PLACES };
    const added: string[] = [];
    const asked = widened(range);
    const sides = new Sides(timesMs, bordersOf(range, marks, edge));
    const isLastAgain = this.#lastDigest !== null && this.#lastDigest === page.firstDigest;
    const head = overlap === null ? new Head(edge, instantKeys, isLastAgain) : null;
    const before = new BeforeThis(this.keysBefore, page.keys);
    let instants = 0;
    for (let at = 0; at < timesMs.length; at += 1) {
      const timeMs = timesMs[at] ?? Number.NaN;
      const isAtEdge = edge !== null && timeMs === edge.atMs;
      const key = isAtEdge ? (instantKeys[instants] ?? '') : '';
      if (isAtEdge) instants += 1;
      // Above the edge everything was counted, also when another process has begun this chain.
      if (range.isOrderedByTime && edge !== null && timeMs > edge.atMs) continue;
      // Taken from the head in any case: it may only match in order.
      const repeated = head?.repeats(timeMs, key) ?? null;
      const placeMs = sides.timeOf(at);
      const isElsewhere = placeMs !== null && !isInside(placeMs, range);
      if (isElsewhere && !(Number.isNaN(timeMs) && isInside(placeMs, asked))) continue;
      const come = before.has(at);
      if (come === 'surely') continue;
      if (repeated !== null) {
        counts[isAtEdge && key === this.#repeatedKey ? 'unsure' : repeated] += 1;
        if (isAtEdge) this.#repeatedKey = key;
        continue;
      }
      if (come === 'perhaps') {
        counts.unsure += 1;
        continue;
      }
      if (placeMs === null || isElsewhere) {
        // Without an order its neighbours say nothing, and one chain brings each event once.
        if (placeMs === null && !range.isOrderedByTime) counts.places += 1;
        else counts.unsure += 1;
        continue;
      }
      if (range.isOrderedByTime && edge !== null && placeMs > edge.atMs) continue;
      if (overlap !== null && placeMs === overlap.atMs) {
        if (overlap.left === null || !isAtEdge) {
          counts.unsure += 1;
          continue;
        }
        if (takeOne(overlap.left, key)) continue;
        // An inclusive cursor brings it a third time.
        if (at === 0 && isLastAgain) {
          counts.unsure += 1;
          continue;
        }
      }
      if (isAtEdge && head?.isLeft(key) === true) {
        counts.unsure += 1;
        continue;
      }
      if (isAtEdge) added.push(key);
      counts.places += 1;
      if (marks.topMs !== null && placeMs >= marks.topMs) counts.topPlaces += 1;
      if (marks.recentMs !== null && placeMs >= marks.recentMs) counts.recentPlaces += 1;
    }
    this.#lastDigest = page.lastDigest ?? this.#lastDigest;
    this.keysBefore = page.keys;
    return { ...counts, added: this.#moveEdge(page, sides.lastMs, added, range.isOrderedByTime) };
  }

  #moveEdge({ edgeKeys }: PagePlaces, lastMs: number, added: readonly string[], isOrdered: boolean): WalkEdge | null {
    if (Number.isNaN(lastMs)) return null;
    const edge = this.#edge;
    if (this.#overlap !== null && lastMs < this.#overlap.atMs) this.#overlap = null;
    if (edge !== null && lastMs === edge.atMs) {
      const keys = edge.keys === null ? null : [...edge.keys, ...added];
      this.#edge = { atMs: lastMs, keys: keys === null || keys.length > MAX_KEYS ? null : keys };
      return { atMs: lastMs, keys: added };
    }
    // A page above the edge brings nothing that was not counted.
    if (isOrdered && edge !== null && lastMs > edge.atMs) return null;
    this.#edge = { atMs: lastMs, keys: edgeKeys };
    return this.#edge;
  }
}

function isInside(timeMs: number, { sinceMs, untilMs }: Pick<CountedRange, 'sinceMs' | 'untilMs'>): boolean {
  return (sinceMs === null || timeMs >= sinceMs) && (untilMs === null || timeMs < untilMs);
}

/** What the API is asked for. */
const widened = ({ sinceMs, untilMs, widenedMs }: CountedRange): Pick<CountedRange, 'sinceMs' | 'untilMs'> => ({
  sinceMs: sinceMs === null ? null : sinceMs - widenedMs,
  untilMs: untilMs === null ? null : untilMs + widenedMs,
});

/** Times at which a count changes. */
function bordersOf(range: CountedRange, marks: CountMarks, edge: WalkEdge | null): number[] {
  const edgeMs = range.isOrderedByTime ? (edge?.atMs ?? null) : null;
  return [range.sinceMs, range.untilMs, edgeMs, marks.topMs, marks.recentMs].filter((borderMs) => borderMs !== null);
}

/** Where each event of a page lies: at its own time, or between its neighbours. Asked in order. */
class Sides {
  readonly #timesMs: Float64Array;
  readonly #borders: readonly number[];
  /** Time of the last event asked about that has one, else NaN. */
  lastMs = Number.NaN;
  #nextMs = Number.NaN;
  #nextAt = -1;

  constructor(timesMs: Float64Array, borders: readonly number[]) {
    this.#timesMs = timesMs;
    this.#borders = borders;
  }

  /** `null`: it has no time, and a border may lie between its neighbours. */
  timeOf(at: number): number | null {
    const timeMs = this.#timesMs[at] ?? Number.NaN;
    if (!Number.isNaN(timeMs)) {
      this.lastMs = timeMs;
      return timeMs;
    }
    if (this.#nextAt < at) this.#findNext(at);
    const { lastMs } = this;
    const nextMs = this.#nextMs;
    if (Number.isNaN(lastMs) && Number.isNaN(nextMs)) return this.#borders.length === 0 ? 0 : null;
    const aboveMs = Number.isNaN(lastMs) ? nextMs : lastMs;
    const belowMs = Number.isNaN(nextMs) ? lastMs : nextMs;
    return this.#borders.some((borderMs) => aboveMs >= borderMs !== belowMs >= borderMs) ? null : aboveMs;
  }

  #findNext(from: number): void {
    this.#nextAt = from;
    while (this.#nextAt < this.#timesMs.length && Number.isNaN(this.#timesMs[this.#nextAt])) this.#nextAt += 1;
    this.#nextMs = this.#timesMs[this.#nextAt] ?? Number.NaN;
  }
}

/** The top of a page that a cursor has led to: does it begin with what the last page ended with? */
class Head {
  readonly #edgeMs: number | null;
  readonly #left: Map<string, number>;
  /** Events at the top that are surely the end of the last page again. */
  #sure: number;
  #isTop = true;
  #repeatsUntimed: boolean;

  /** @param instantKeys of the page's events at the instant of the edge */
  constructor(edge: WalkEdge | null, instantKeys: readonly string[], repeatsUntimed: boolean) {
    this.#edgeMs = edge?.atMs ?? null;
    this.#left = tally(edge?.keys ?? []) ?? new Map<string, number>();
    this.#sure = sharedLength(edge?.keys ?? [], instantKeys);
    this.#repeatsUntimed = repeatsUntimed;
  }

  /** Call it for each event, in order. What matches beyond the end of the last page may be an id that the API has twice. */
  repeats(timeMs: number, key: string): 'repeated' | 'unsure' | null {
    if (!this.#isTop) return null;
    if (Number.isNaN(timeMs)) {
      this.#isTop = false;
      return this.#repeatsUntimed ? 'repeated' : null;
    }
    // Only the first event of the page can be the one that the last page ended with.
    this.#repeatsUntimed = false;
    this.#isTop = timeMs === this.#edgeMs && takeOne(this.#left, key);
    if (!this.#isTop) return null;
    this.#sure -= 1;
    return this.#sure >= 0 ? 'repeated' : 'unsure';
  }

  /** Whether a later event of the edge's instant was served there before: the API has its id twice, or keeps no order within an instant. */
  isLeft(key: string): boolean {
    return takeOne(this.#left, key);
  }
}

/**
 * What the page before has of a page, where no times tell. The end of it that comes again has been pushed down, by events that are
 * new at the top; a single id that comes again may be one that the API has twice.
 */
class BeforeThis {
  readonly #keys: readonly string[];
  readonly #left: Map<string, number>;
  readonly #shared: number;

  constructor(before: readonly string[], keys: readonly string[]) {
    this.#keys = keys;
    this.#shared = sharedEnd(before, keys);
    this.#left =
      tally(keys.length === 0 ? [] : before.slice(0, before.length - this.#shared)) ?? new Map<string, number>();
  }

  /** Call it for each event, in order. */
  has(at: number): 'surely' | 'perhaps' | null {
    if (at < this.#shared) return 'surely';
    return takeOne(this.#left, this.#keys[at] ?? '') ? 'perhaps' : null;
  }
}

/** The least number of keys, not 0, with which the one list ends and the other begins; 0 where there is none. */
function sharedLength(ending: readonly string[], beginning: readonly string[]): number {
  const longest = Math.min(ending.length, beginning.length);
  for (let length = 1; length <= longest; length += 1) {
    const from = ending.length - length;
    let at = 0;
    while (at < length && ending[from + at] === beginning[at]) at += 1;
    if (at === length) return length;
  }
  return 0;
}
