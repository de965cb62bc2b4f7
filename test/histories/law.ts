/**
 * The law: what an end may claim, held against what the API had.
 *
 * Exit code 0 of a start: every event that the API had when the start's run began, has had ever since, and that lies in the
 * run's range, is a row, value by value, or an anomaly. The exceptions, each as narrow as it can be said:
 *
 *  late      An incremental run need not find an event that arrived after the last complete run without a range had begun, and
 *            whose own time is older than the newest event of that run less the lookback. Without a total nobody can know of it.
 *            With one the run must say `api-end`, and have a reason: the API has forgotten events meanwhile, or caches, or the
 *            earlier run was not proven by a count, or went by another lookback. With `count` only as many may be missing as
 *            the API has forgotten meanwhile: a total cannot tell one from the other.
 *  forgiven  A row that people removed need not come back after a start with --accept-fewer-rows, until a run that began later
 *            walks everything.
 *  cached    What arrived less than a cache's life before the run began: the API's answers do not show it.
 *  timeless  An event without a time has no place in a range of time.
 *
 * A code other than 0 claims nothing of the events. Where the API was well it needs a reason all the same: see ends.ts, and one here:
 *
 *  repeated  Where two events or more come in a row, and the same bytes in a row once more, a page can begin as an earlier one did. An API
 *            that answers a cursor with a page from before gives the same pages, and hides events behind them. Walking again shows the
 *            same; so does a request by time, because the same bytes have the same time; and a count cannot say what it counts twice. So such a run may end with 4, or 5 where the API counts.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ApiModel } from './api-model.ts';
import { valueOf, type Place, type TargetRow } from './event-model.ts';
import { REFUSED_EVERY, type Rejection } from './target.ts';
import type { ApiTraits, StartFlags } from './history.ts';

export interface Breach {
  readonly kind: string;
  readonly text: string;
}

/** What the model knows of a run from the moment it began. */
export interface RunBegin {
  readonly runId: number;
  readonly api: ApiModel;
  readonly traits: ApiTraits;
  readonly atMs: number;
  readonly atDeed: number;
  readonly places: ReadonlySet<Place>;
  readonly newestOwnMs: number;
  readonly lostBefore: number;
  readonly flags: StartFlags;
  readonly range: { readonly sinceMs: number; readonly untilMs: number } | null;
  /** The last complete run of the same source without a range, if this one may have begun behind it. */
  readonly behind: RunBegin | null;
  /** How it ended. */
  proof: string | null;
  isComplete: boolean;
  /** Late events that it was excused from. */
  excused: ReadonlySet<Place>;
}

export interface Found {
  readonly rows: ReadonlyMap<string, TargetRow>;
  readonly rejections: readonly Rejection[];
  /** The id column has type uuid. */
  readonly isUuid: boolean;
  readonly isCaseBlind: boolean;
  /** Events that the newest run was served, each time that they came. */
  readonly served: number;
  /** Of these, the ones that were accepted. */
  readonly loaded: number;
}

const DEFAULT_LOOKBACK_MS = 3_600_000;
const LOOKBACK_MS = { '0': 0, '60': 60_000, '10m': 600_000 } as const;
/** How many cases a breach shows. */
const SOME = 5;

export function lookbackMs(flags: StartFlags): number {
  return flags.lookback === undefined ? DEFAULT_LOOKBACK_MS : LOOKBACK_MS[flags.lookback];
}

/** Which events have a row with right values, or an anomaly with their bytes. */
export function uncovered(places: Iterable<Place>, { rows, rejections }: Found): Place[] {
  const rejected = new Set(rejections.filter(({ isRebuilt }) => !isRebuilt).map(({ original }) => original));
  const rebuilt = new Set(rejections.filter(({ isRebuilt }) => isRebuilt).map(({ original }) => valueOf(original)));
  const isRejected = (body: string): boolean => rejected.has(body) || (rebuilt.size > 0 && rebuilt.has(valueOf(body)));
  return [...places].filter(({ id, body }) => !(id !== null && rows.has(id)) && !isRejected(body));
}

/** Nothing may stand in the table that no API ever had, and nothing that it had otherwise. */
export function checkRows(everHad: readonly Place[], { rows }: Found): Breach | null {
  const versions = new Map<string, Place[]>();
  for (const place of everHad) {
    if (place.id === null) continue;
    const known = versions.get(place.id);
    if (known === undefined) versions.set(place.id, [place]);
    else known.push(place);
  }
  const foreign = [...rows.keys()].filter((id) => !versions.has(id));
  if (foreign.length > 0) {
    return {
      kind: 'foreign rows',
      text: `${foreign.length} rows that no API had: ${foreign.slice(0, SOME).join(', ')}`,
    };
  }
  const wrong = [...rows].filter(
    ([id, row]) => versions.get(id)?.some((place) => isDeepStrictEqual(place.row, row)) !== true,
  );
  if (wrong.length === 0) return null;
  const shown = wrong.slice(0, SOME).map(([id, row]) => `${id} ${JSON.stringify(row)}`);
  return { kind: 'wrong values', text: `${wrong.length} rows have other values: ${shown.join('; ')}` };
}

/** What is rejected must deserve it, and be something that an API had. */
export function checkRejections(
  everHad: readonly Place[],
  { rejections }: Found,
  may: { readonly rules: boolean; readonly uuidColumn: boolean },
): Breach | null {
  const bodies = new Map(everHad.map((place) => [place.body, place]));
  const isAnyRebuilt = rejections.some(({ isRebuilt }) => isRebuilt);
  const values = new Map(isAnyRebuilt ? everHad.map((place) => [valueOf(place.body), place]) : []);
  for (const { original, isRebuilt } of rejections) {
    const place = isRebuilt ? values.get(valueOf(original)) : bodies.get(original);
    if (place === undefined) return { kind: 'foreign anomaly', text: `nobody served ${original}` };
    const isRefusedByRule = may.rules && (place.n % REFUSED_EVERY === 0 || place.version === 2);
    const fitsColumn = place.id !== null && (!may.uuidColumn || /^[\da-f]{8}-/.test(place.id));
    if (fitsColumn && !isRefusedByRule) return { kind: 'rejected without reason', text: original };
  }
  return null;
}

/** What an end says of a list in which a page may have come twice, or of places that it hides. */
const SPEAKS_OF_PAGES = /has come to an end|repeats itself|events are missing/;

/** See `repeated` above. */
export function mayBeRepeated({ places }: Pick<ApiModel, 'places'>, message: string): boolean {
  const pairs = places.slice(1).map(({ body }, at) => `${places[at]?.body ?? ''}\n${body}`);
  return SPEAKS_OF_PAGES.test(message) && new Set(pairs).size < pairs.length;
}

/** Breach of the promise of exit code 0 by a complete run. Notes in the run which late events it was excused from. */
export function checkComplete(run: RunBegin, found: Found, forgiven: ReadonlySet<string>): Breach | null {
  const required = [...run.places].filter((place) => !run.api.isLost(place) && isOwed(run, place));
  const missing = uncovered(required, found).filter(
    (place) => (place.id === null || !forgiven.has(place.id)) && run.behind?.excused.has(place) !== true,
  );
  const late = missing.filter((place) => mayBeLate(run, place));
  if (late.length < missing.length) {
    return missingBreach(
      missing.filter((place) => !mayBeLate(run, place)),
      required.length,
    );
  }
  const lost = run.behind === null ? 0 : run.api.lostCount - run.behind.lostBefore;
  if (late.length > 0 && !areExcused(run, late.length, lost)) return missingBreach(late, required.length, 'late ');
  run.excused = new Set([...(run.behind?.excused ?? []), ...late]);
  return null;
}

function missingBreach(missing: readonly Place[], of: number, which = ''): Breach {
  const shown = missing.slice(0, SOME).map(({ n, seq, ownMs }) => `n=${n} seq=${seq} ${new Date(ownMs).toISOString()}`);
  return {
    kind: `${which}events missing after 0`,
    text: `${missing.length} of ${of} are neither row nor anomaly: ${shown.join(', ')}`,
  };
}

/** In the range of the run, and not hidden by a cache. */
function isOwed({ traits, atMs, range }: RunBegin, place: Place): boolean {
  if (place.isNews && traits.cacheMs > 0 && place.arrivedAtMs > atMs - traits.cacheMs) return false;
  if (range === null) return true;
  return !place.isTimeless && place.ownMs >= range.sinceMs && place.ownMs <= range.untilMs;
}

function mayBeLate(run: RunBegin, place: Place): boolean {
  const { behind } = run;
  return behind !== null && !behind.places.has(place) && place.ownMs < behind.newestOwnMs - lookbackMs(run.flags);
}

function areExcused(run: RunBegin, late: number, lost: number): boolean {
  const { behind, traits } = run;
  if (behind === null) return false;
  if (run.proof === 'count') return late <= lost;
  if (traits.shape !== 'live') return true;
  return (
    lost > 0 || traits.cacheMs > 0 || behind.proof !== 'count' || lookbackMs(behind.flags) !== lookbackMs(run.flags)
  );
}
