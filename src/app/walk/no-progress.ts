/** When a walk goes nowhere, and what is said then. Pure. */
import type { PageRequest } from '../../api/api-client.ts';
import { GaveUpError } from '../../core/errors.ts';
import { isoText } from '../../core/iso-text.ts';
import type { EncodedPage, PageBeginning, PagePlaces } from '../../core/encoded-page.ts';

const REMEMBERED_PAGES = 1_000;
/** Pages in a row without a new event that end the walk. */
export const MAX_STALE_PAGES = 5;
/** The same for pages that are empty, or begin and end with the same event: an API may filter, or have one event very often. */
const MAX_UNIFORM_PAGES = 1_000;
/** Chains from one place that come no further, in a row, that end the walk. */
const MAX_RESTARTS = 5;

/**
 * Told from others by how it begins, because an API may have single events twice, and one of them very often; and by its last, which
 * shows where all are the same.
 */
interface DigestedPage extends Pick<EncodedPage, 'servedCount'> {
  readonly envelope?: Pick<EncodedPage['envelope'], 'mayBeginAgain'>;
  readonly places: Pick<PagePlaces, 'beginnings' | 'firstDigest' | 'lastDigest'>;
}

/** A page that was noted. */
type Served = Pick<EncodedPage, 'servedCount'> & Pick<PagePlaces, 'beginnings'>;

/**
 * Does a chain of pages still bring something new? The newest pages are remembered, and a few at each power of two: so a cycle
 * of any length is seen when it comes round to them.
 */
export class ChainProgress {
  /** First two events of a page → what was served from there on; more from the same place are new. */
  readonly #served = new Map<string, Served>();
  /** Pages that are not forgotten. */
  readonly #kept = new Map<string, Served>();
  #latest: Served | null = null;
  #pages = 0;
  #stalePages = 0;
  #uniformPages = 0;

  /**
   * Whether a page that was noted began with the same events, two at least, although it may not. Of pages of one event again and
   * again nobody can say it.
   */
  knows({ places, envelope }: DigestedPage): boolean {
    const name = nameOf(places);
    if (name === null || isUniform(places)) return false;
    if (envelope?.mayBeginAgain === true && beginAlike(this.#latest?.beginnings, places.beginnings)) return false;
    return [this.#served.get(name), this.#kept.get(name)].some((served) =>
      beginAlike(served?.beginnings, places.beginnings),
    );
  }

  /** Returns true when too many pages in a row brought nothing new. */
  note({ servedCount, places }: DigestedPage): boolean {
    this.#pages += 1;
    this.#latest = { servedCount, beginnings: places.beginnings };
    const name = nameOf(places);
    const isStale = name === null || servedCount <= this.#servedFrom(name);
    if (isUniform(places)) {
      this.#uniformPages = isStale ? this.#uniformPages + 1 : 0;
      if (name !== null) this.#remember(name, { servedCount, beginnings: places.beginnings });
      return this.#uniformPages >= MAX_UNIFORM_PAGES;
    }
    this.#uniformPages = 0;
    this.#stalePages = isStale ? this.#stalePages + 1 : 0;
    if (name !== null && !isStale) this.#remember(name, { servedCount, beginnings: places.beginnings });
    return this.#stalePages >= MAX_STALE_PAGES;
  }

  #servedFrom(name: string): number {
    return Math.max(this.#served.get(name)?.servedCount ?? 0, this.#kept.get(name)?.servedCount ?? 0);
  }

  #remember(name: string, page: Served): void {
    this.#served.set(name, page);
    const sincePowerOfTwo = this.#pages - 2 ** Math.floor(Math.log2(this.#pages));
    if (sincePowerOfTwo < MAX_STALE_PAGES) this.#kept.set(name, page);
    if (this.#served.size <= REMEMBERED_PAGES) return;
    const [oldest] = this.#served.keys();
    if (oldest !== undefined) this.#served.delete(oldest);
  }
}

function nameOf({ beginnings, firstDigest }: DigestedPage['places']): string | null {
  return beginnings[0]?.digest ?? firstDigest;
}

/** As far as both go, and for two events at least. */
function beginAlike(one: readonly PageBeginning[] = [], other: readonly PageBeginning[]): boolean {
  const common = one.findLast(({ events }) => other.some((begins) => begins.events === events));
  return (
    common !== undefined && other.some(({ events, digest }) => events === common.events && digest === common.digest)
  );
}

function isUniform({ firstDigest, lastDigest }: DigestedPage['places']): boolean {
  return firstDigest === lastDigest;
}

/**
 * Chains that begin at one place again: at a time, or at the top of everything where an endpoint cannot be asked by time.
 * They are not bounded while each gets further down than all before it. Depth is counted in events served, because times
 * may be missing, wrong, or all the same; before the first event, in pages without one.
 */
export class TopRestarts {
  /** Undefined before the first chain. */
  #topMs: number | null | undefined;
  #depth = NOWHERE;
  #deepest = NOWHERE;
  #noFurther = 0;

  /** A chain begins; `null`: at the top of everything. Returns what the chain before it came to. */
  begin(topMs: number | null): 'nothing' | 'moved-on' | 'further' | 'no-further' | 'too-often' {
    const depth = this.#depth;
    const hasServed = depth.events > 0;
    this.#depth = NOWHERE;
    if (topMs !== this.#topMs) {
      this.#topMs = topMs;
      this.#deepest = NOWHERE;
      this.#noFurther = 0;
      return hasServed ? 'moved-on' : 'nothing';
    }
    if (!hasServed && depth.emptyPages === 0) return 'nothing';
    const isFurther = isDeeper(depth, this.#deepest);
    this.#noFurther = isFurther ? 0 : this.#noFurther + 1;
    if (isFurther) this.#deepest = depth;
    if (this.#noFurther === 0) return 'further';
    return this.#noFurther >= MAX_RESTARTS ? 'too-often' : 'no-further';
  }

  /** Something else is walked: what chains came to says nothing any more. */
  forget(): void {
    this.#topMs = undefined;
    this.#depth = NOWHERE;
  }

  /** A page was served on the way down. */
  note(servedCount: number): void {
    const { events, emptyPages } = this.#depth;
    this.#depth = { events: events + servedCount, emptyPages: servedCount === 0 ? emptyPages + 1 : emptyPages };
  }
}

interface Depth {
  readonly events: number;
  readonly emptyPages: number;
}

const NOWHERE: Depth = { events: 0, emptyPages: 0 };

function isDeeper(one: Depth, other: Depth): boolean {
  return one.events === 0 && other.events === 0 ? one.emptyPages > other.emptyPages : one.events > other.events;
}

type Where = Pick<PageRequest, 'windowId' | 'page'>;

const SAFE_AND_REPORT =
  "What was merged is safe. Start again later; if it ends like this again, report it to the API's owner";

export function noNewEvents({ windowId, page }: Where): GaveUpError {
  return new GaveUpError(
    `Window ${windowId}, page ${page}: page after page brought no new event: the API repeats itself. ` +
      `${SAFE_AND_REPORT}.`,
    { location: { windowId, page } },
  );
}

/**
 * @param where with the time that the walk was begun from, `null` at the top of everything
 * @param why what ended the last of the chains; `null` when nothing was said
 */
export function noProgress(
  { windowId, page, fromMs }: Where & { readonly fromMs: number | null },
  why: string | null,
): GaveUpError {
  const reason = why === null ? '' : `: ${why}`;
  const text =
    fromMs === null
      ? `was walked from its top ${MAX_RESTARTS} times, and each time a stale cursor, or answers that contradict each other, ` +
        `ended the walk before it came further than before${reason}. It cannot go on by time. What was merged is safe; ` +
        'start again when requests come through faster, or the API is well.'
      : `was walked from ${isoText(fromMs)} on ${MAX_RESTARTS} times, and each walk brought no new event before its ` +
        `cursor ended${reason}. Either more events than a page holds share one instant, or the API repeats itself. ` +
        `${SAFE_AND_REPORT}. A larger --page-size may help where it is below 5000.`;
  return new GaveUpError(`Window ${windowId}, page ${page}, ${text}`, { location: { windowId, page } });
}

export function eventTooLarge({ windowId, page }: Where): GaveUpError {
  return new GaveUpError(
    `Window ${windowId}, page ${page}: the API says that a page of one event is too large. A new start will not help before the API ` +
      'serves it in another way. What was merged is safe.',
    { location: { windowId, page } },
  );
}
