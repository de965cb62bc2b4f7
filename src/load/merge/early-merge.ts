/**
 * The early merge: the one merge of a short load into an empty target, begun while its last pages still come.
 *
 * An initial merge is put off to the end of a short load, because rows that come after it go through the index and cost more
 * than twice as much. But moving rows is the work of one core, and where the API is the slower one PostgreSQL is idle
 * meanwhile. So the merge begins early: it has moved what was there when the late pages are in, takes them too, and builds
 * the key.
 */
import type { StagedPages } from './locked-staging.ts';
import type { LatePages } from './merge.ts';

/**
 * Rows that one backend moves beside the loading. 430,000 to 550,000 were measured on two cores with PostgreSQL at its
 * defaults; a little more, because a merge that waits for late pages may hold the target locked.
 */
const MOVED_ROWS_PER_SECOND = 600_000;
/** Fewer are merged so fast that an early start wins nothing. */
const MIN_STAGED_EVENTS = 50_000;
/**
 * How long an early merge waits for late pages, their COPY included. It may hold the target locked meanwhile, and a connection
 * that is idle is given up after five to ten seconds.
 */
const MAX_LATE_MS = 4_000;

export interface LoadProgress {
  readonly stagedEvents: number;
  readonly remainingEvents: number;
  readonly fetchedEvents: number;
  readonly seconds: number;
}

/** Whether moving what is staged will take about as long as fetching the rest. Pure. */
export function isTimeForEarlyMerge(progress: LoadProgress): boolean {
  const { stagedEvents, remainingEvents, fetchedEvents, seconds } = progress;
  // Nothing remains: that is the end, or the total is too small to go by.
  if (stagedEvents < MIN_STAGED_EVENTS || fetchedEvents === 0 || remainingEvents === 0) return false;
  const moveSeconds = stagedEvents / MOVED_ROWS_PER_SECOND;
  const fetchSeconds = remainingEvents / (fetchedEvents / Math.max(seconds, 0.001));
  return fetchSeconds <= moveSeconds;
}

/** Whether the early merge takes the late pages: decided once, by whoever comes first. */
export class EarlyMerge {
  readonly #allThere = new Moment();
  readonly #givenUp = new Moment();
  #state: 'waiting' | 'all there' | 'taken' | 'given up' = 'waiting';
  #answer: ReturnType<LatePages> | null = null;

  /** The merge takes the second table too, and no further page can go there. */
  get takesLatePages(): boolean {
    return this.#state === 'all there' || this.#state === 'taken';
  }

  /** All late pages have their table. */
  includeLatePages(): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'all there';
    this.#allThere.resolve();
  }

  /** Late pages are left to the next merge. Does nothing when this merge has taken them. */
  giveUpOnLatePages(): void {
    if (this.#state === 'taken') return;
    this.#state = 'given up';
    this.#givenUp.resolve();
  }

  /**
   * What the merge asks for. Asked again, it answers as before.
   * @param staged resolves when every late page is copied
   */
  latePages(staged: () => Promise<StagedPages>, maxLateMs = MAX_LATE_MS): ReturnType<LatePages> {
    this.#answer ??= this.#wait(staged, maxLateMs);
    return this.#answer;
  }

  async #wait(staged: () => Promise<StagedPages>, maxLateMs: number): ReturnType<LatePages> {
    const timer = setTimeout(() => {
      this.giveUpOnLatePages();
    }, maxLateMs);
    const pages = await Promise.race([this.#givenUp.promise.then(() => null), this.#allThere.promise.then(staged)]);
    clearTimeout(timer);
    // It may have been given up in the moment in which the last COPY ended.
    if (this.#state !== 'all there') return null;
    this.#state = 'taken';
    return pages === null || pages.pages === 0 ? null : pages;
  }
}

/** Something that happens once. */
class Moment {
  resolve: () => void = () => undefined;
  readonly promise = new Promise<void>((resolve) => {
    this.resolve = resolve;
  });
}
