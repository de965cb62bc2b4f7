/**
 * What a run remembers, as data. `ingestion.run` and `ingestion.state` hold exactly this; nothing else is remembered.
 */
import { describePlace, type PagePlace } from './page-place.ts';

/** What makes two starts the same run. A start that differs in these is refused. */
export interface RunIdentity {
  /** The API's base URL without credentials, or the demo's own fixed name. */
  readonly source: string;
  /** Limits of the run, epoch milliseconds; `null` is unlimited. */
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
}

/** The counts of a run, all its starts together. served = loaded + rejected; loaded = inserted + updated + duplicates. */
export interface RunCounts {
  readonly pages: number;
  readonly served: number;
  readonly loaded: number;
  readonly inserted: number;
  readonly updated: number;
  readonly duplicates: number;
  readonly rejected: number;
  readonly repaired: number;
}

export const NO_COUNTS: RunCounts = Object.freeze({
  pages: 0,
  served: 0,
  loaded: 0,
  inserted: 0,
  updated: 0,
  duplicates: 0,
  rejected: 0,
  repaired: 0,
});

/**
 * What a complete run is proven by. `count`: each place of the API's list that its total counts was served. `api-end`: every
 * chain of pages was ended by the API's own word, and no count could be held against it. `none`: not proven.
 */
export type ProofKind = 'count' | 'api-end' | 'none';

export interface Proof {
  readonly kind: ProofKind;
  /** Places of the API's list that this run was surely served, each once: of an incremental run those at or above its floor. */
  readonly places: number;
  /** What `places` was held against; `null` when nothing could be. */
  readonly expected: number | null;
  /** For people: one sentence, with the figures. */
  readonly sentence: string;
}

/** Whether a run with this proof is finished: only such a run ends with exit code 0. */
export function isProven(proof: Proof | null): boolean {
  return proof !== null && proof.kind !== 'none';
}

/**
 * A run that `--follow` makes between two that prove something. `new-events` begins at the watermark, `lookback` that far below it.
 * Neither walks anything again, and no run that proves something rests on it.
 */
export type RoundKind = 'new-events' | 'lookback';

/** `null`: the run is to prove something. */
export function roundOf({ begunBy }: Pick<Run, 'begunBy'>): RoundKind | null {
  return begunBy === 'new-events' || begunBy === 'lookback' ? begunBy : null;
}

export type RunStatus = 'running' | 'complete' | 'abandoned';

export interface Run extends RunIdentity {
  readonly runId: number;
  readonly status: RunStatus;
  readonly startedAtMs: number;
  /** `Date` of the response that began the run (the API's clock; ours where it sends none), epoch milliseconds; `null` until it came. */
  readonly serverDateMs: number | null;
  /** 1 for the first walk over the data set; more when the run catches up, or walks again to find what is short. */
  readonly pass: number;
  /** `meta.total` of the response that began the current pass. */
  readonly passTotal: number | null;
  /** The newest `meta.total` of the run, of whatever pass: events that it counts were there, whatever came since. */
  readonly knownTotal: number | null;
  /** Newest event time in serving order that this run has seen, at most `serverDateMs`, epoch ms. */
  readonly newestMs: number | null;
  /** Lower bound this run walks down to because of an earlier complete run's watermark minus the lookback, epoch ms. */
  readonly incrementalSinceMs: number | null;
  readonly counts: RunCounts;
  /** Newest time on the run's first page, but never later than the API's clock: the next run begins there, less its lookback. */
  readonly watermarkMs: number | null;
  readonly lookbackMs: number | null;
  /** The flag that began it, so that a restart with the same flag goes on with it; or a round of `--follow`. */
  readonly begunBy: 'full' | 'new-run' | RoundKind | null;
  /** False: begun by version 1.0.0, which did not count places. */
  readonly placesKnown: boolean;
  /** Of the run before it, for an incremental one: its total, and its places at or above this run's floor. A round has the total alone. */
  readonly baseTotal: number | null;
  readonly baseRecent: number | null;
  /** Places at or above {@link watermarkMs} less {@link lookbackMs}; `null` when that is not known for sure. */
  readonly recentPlaces: number | null;
  /** `null` until the run was held against the API's count. */
  readonly proof: Proof | null;
}

/** Where the pages counted so far end: the last time, and the keys of its events, as often as they were counted. */
export interface WalkEdge {
  readonly atMs: number;
  /** `null`: too many to be remembered. */
  readonly keys: readonly string[] | null;
}

/** Places of the API's list, each once: see app/walk/places.ts. */
export interface PlaceCounts {
  readonly places: number;
  /** Of those: at or above {@link CountMarks.topMs}. */
  readonly topPlaces: number;
  /** Of those: at or above {@link CountMarks.recentMs}. */
  readonly recentPlaces: number;
  /** Not in `places`: may be places, or may be counted elsewhere. */
  readonly unsure: number;
  /** Not in `places`: events at the top of a page that the last page ended with, brought again by a cursor. */
  readonly repeated: number;
}

export const NO_PLACES: PlaceCounts = Object.freeze({
  places: 0,
  topPlaces: 0,
  recentPlaces: 0,
  unsure: 0,
  repeated: 0,
});

/** Times that a run counts by; epoch ms, `null` where unknown. */
export interface CountMarks {
  /** From here on the next catch-up counts, if there is one. */
  readonly topMs: number | null;
  /** From here on the next run looks again. */
  readonly recentMs: number | null;
}

/**
 * One window [since, until), walked from its newest event to its oldest. Pages are numbered from 1; pages
 * 1..safePages are merged, the rest of the fields is what the page `safePages` left behind.
 */
export interface WindowState {
  readonly windowId: number;
  /** Bounds, epoch milliseconds; `null` is open. An event at `untilMs` belongs to the window above. */
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
  readonly safePages: number;
  /** The cursor after page `safePages`, byte for byte, and when it arrived (epoch ms of our clock). */
  readonly cursor: string | null;
  readonly cursorReceivedAtMs: number | null;
  /** See {@link LedgerEntry.cursorFrom}. */
  readonly cursorFrom: string | null;
  /** See {@link LedgerEntry.cursorLimit}. */
  readonly cursorLimit: number | null;
  /** Where the walk can be anchored again by time (`until`), epoch ms: from the newest safe page whose times descend. */
  readonly anchorMs: number | null;
  /** Time of the last safe event in serving order. */
  readonly lastEventMs: number | null;
  /** Where the places of the merged pages end. */
  readonly edge: WalkEdge | null;
  /** Time of the last safe event, however far down an earlier chain had come. */
  readonly pageEndMs: number | null;
  /** Events of the chain that the last safe page belongs to; `null`: there is none, or an earlier version has begun it. */
  readonly chainServed: number | null;
  /** Walked to its end. */
  readonly complete: boolean;
  /** Had retries that matter, new anchors or contradictions: walked again first when the run is short. */
  readonly suspect: boolean;
  /** See {@link LedgerEntry.isDoubtful}. */
  readonly isDoubtful: boolean;
}

/** One copied page: committed in the same transaction as its rows, folded into its window's state by the merge. */
export interface LedgerEntry extends PagePlace {
  readonly nextCursor: string | null;
  readonly cursorReceivedAtMs: number | null;
  /** The endpoint that gave the cursor: in the list of another it may stand anywhere. `null`: an earlier version has not noted it. */
  readonly cursorFrom: string | null;
  /** Of the page that gave a cursor that may count pages: with another limit it stands elsewhere. `null`: any will do. */
  readonly cursorLimit: number | null;
  readonly anchorMs: number | null;
  readonly lastEventMs: number | null;
  /** Oldest time of its events, in the window or not: a page that is on its way when its window is split reaches into the new one. */
  readonly oldestMs: number | null;
  /** This page is the window's last. */
  readonly endsWindow: boolean;
  /** What ended the window was not the API's own word, or the page says that it failed: only the API's count can prove the window. */
  readonly isDoubtful: boolean;
  readonly suspect: boolean;
  /** Time of its last event that has one. */
  readonly pageEndMs: number | null;
  /** The page was asked for by the cursor of the page before it. */
  readonly isContinued: boolean;
  readonly counts: PlaceCounts;
  /** Where the page ends, with the keys that it adds there; `null`: where the page before it ended. */
  readonly edge: WalkEdge | null;
  readonly served: number;
  readonly loaded: number;
  readonly rejected: number;
  readonly repaired: number;
}

const PAGE_BITS = 24n;
const POSITION_BITS = 16n;

/**
 * `source_order` of the first event of a page: window (23 bits), page (24 bits), position (16 bits), so that one bigint
 * orders events as they were served inside a chain and names the page a row came from.
 * @throws RangeError past 8 million windows or 16 million pages a window.
 */
export function firstSourceOrder(windowId: number, page: number): bigint {
  if (windowId < 0 || windowId >= 2 ** 23 || page < 0 || page >= 2 ** 24) {
    throw new RangeError(`${describePlace({ windowId, page })} cannot be numbered`);
  }
  return (BigInt(windowId) << (PAGE_BITS + POSITION_BITS)) | (BigInt(page) << POSITION_BITS);
}
