/**
 * By what a run is proven complete. Its places are held against the API's total, each side of this run alone: no rows of the
 * table, no sums over several runs, no rejected events of earlier ones. Pure.
 *
 *   full           total                        = places of all windows
 *   incremental    total's growth since the run before = places at or above the floor − those the run before had there
 *
 * And the counts of the run must balance, whatever the API says.
 */
import { CountsDisagreeError } from '../../core/errors.ts';
import type { Proof, Run, RunCounts, WindowState } from '../../core/state.ts';
import type { TimeRange } from '../../core/walk-time.ts';
import type { Tally } from '../../load/state/tally.ts';

export type Verdict =
  | { readonly kind: 'proven'; readonly proof: Proof }
  /** Number of places that were surely not served. */
  | { readonly kind: 'short'; readonly short: number; readonly expected: number; readonly places: number }
  /** Up to `unsure` may be missing, or none. The proof holds where walking everything again brings nothing new. */
  | { readonly kind: 'unsure'; readonly unsure: number; readonly proof: Proof & { readonly expected: number } };

type JudgedRun = Pick<Run, 'sinceMs' | 'untilMs' | 'placesKnown' | 'baseTotal' | 'baseRecent'>;

/** The total of the response that began the last pass, `null` when it gave none, or was as old as a cache; and the run's newest. */
export type Totals = Readonly<Record<'total' | 'knownTotal', number | null>>;

export function judgeRun(run: JudgedRun, tally: Tally, { total, knownTotal }: Totals): Verdict {
  const { places, unsure } = tally;
  const byEnd = (why: string): Verdict => ({
    kind: 'proven',
    proof: {
      kind: 'api-end',
      places,
      expected: null,
      sentence: `every chain of pages came to the API's own end; ${why}`,
    },
  });
  if (!isUnlimited(run)) return byEnd('a run with --since or --until is not held against a count of everything');
  if (knownTotal === null) return byEnd('the API gave no count of its own');
  if (!run.placesKnown) return byEnd('the run was begun by an earlier version, which did not count places');
  if (!tally.isFull && (run.baseTotal === null || run.baseRecent === null)) {
    return byEnd('the run before it was not counted, or had another --lookback, so growth cannot be judged');
  }
  const expected = tally.isFull ? knownTotal : knownTotal - (run.baseTotal ?? 0) + (run.baseRecent ?? 0);
  if (places + unsure < expected) return { kind: 'short', short: expected - places - unsure, expected, places };
  const what = tally.isFull ? 'events' : 'events from the floor of this run on';
  const counted = (kind: Proof['kind'], figures: string): Proof & { readonly expected: number } => ({
    ...{ kind, places, expected },
    sentence: `${kind === 'count' ? '' : "every chain of pages came to the API's own end; "}the API counts ${expected} ${what}, ${figures}`,
  });
  if (places < expected) {
    const why = `${places} were served for sure: ${unsure} more may be among them or not, because the same events came at a page's border again, or lack a time`;
    return { kind: 'unsure', unsure, proof: counted('api-end', why) };
  }
  // Events that came since may stand in for some that it counts, so it can refute, and prove nothing.
  if (total === null) return byEnd('the API gave no count any more when the last pass began');
  const asMany = 'and as many were served, what came twice counted once';
  const mixed = `${asMany}; but the table has rows of another address, too, whose ids events may have`;
  const proof =
    places === expected
      ? counted(tally.isMixed ? 'api-end' : 'count', tally.isMixed ? mixed : asMany)
      : counted('api-end', `${places} were served: some were deleted meanwhile, or it counts otherwise`);
  return { kind: 'proven', proof };
}

/** The API's count has fallen below what was served, since the last pass began. */
export function provenByFall(places: number, expected: number, totalNow: number): Proof {
  const sentence =
    `every chain of pages came to the API's own end; the API counted ${expected} events when the last pass began and counts ` +
    `${totalNow} now, ${places} were served: events were deleted meanwhile`;
  return { kind: 'api-end', places, expected: totalNow, sentence };
}

/** Only an unlimited run can be held against the total of the data set. */
export function isUnlimited(run: Pick<Run, 'sinceMs' | 'untilMs'>): boolean {
  return run.sinceMs === null && run.untilMs === null;
}

/** Whether windows leave nothing out of all that their run walks, or more: a row of `ingestion.state` can be deleted by hand. */
export function leaveNoGap(
  windows: readonly Pick<WindowState, 'sinceMs' | 'untilMs'>[],
  { sinceMs, untilMs }: TimeRange,
): boolean {
  const topOf = (window: Pick<WindowState, 'untilMs'>): number => window.untilMs ?? Infinity;
  let reachedMs = untilMs ?? Infinity;
  for (const window of windows.toSorted((one, other) => (topOf(one) > topOf(other) ? -1 : 1))) {
    if (topOf(window) < reachedMs) return false;
    reachedMs = Math.min(reachedMs, window.sinceMs ?? -Infinity);
  }
  return reachedMs <= (sinceMs ?? -Infinity);
}

/** @throws CountsDisagreeError naming both sides of the equation that does not hold */
export function checkCountsBalance(counts: RunCounts): void {
  const { served, loaded, rejected, inserted, updated, duplicates } = counts;
  const problems: string[] = [];
  if (served !== loaded + rejected) problems.push(`served ${served} ≠ loaded ${loaded} + rejected ${rejected}`);
  if (loaded !== inserted + updated + duplicates) {
    problems.push(`loaded ${loaded} ≠ inserted ${inserted} + updated ${updated} + duplicates ${duplicates}`);
  }
  if (problems.length === 0) return;
  throw new CountsDisagreeError(
    `The counts of the run do not balance: ${problems.join('; ')}. Rows are in the target as merged; ` +
      'npm start -- --full walks everything again.',
  );
}
