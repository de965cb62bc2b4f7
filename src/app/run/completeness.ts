/**
 * Proof that nothing is missing: the API's total against what is in the target. And the counts of the run, which must balance
 * whatever the API says.
 */
import { CountsDisagreeError } from '../../core/errors.ts';
import type { Run, RunCounts } from '../../core/state.ts';
import type { Database } from '../../load/postgres/database.ts';
import { readTargetCounts, type TargetCounts } from '../../load/state/target-counts.ts';

export interface Completeness {
  /** `meta.total` of the response that began the last pass; null when the API does not say. */
  readonly total: number | null;
  readonly rows: number;
  /** Different events that have no row because they were rejected. */
  readonly rejected: number;
  /** Events that the API counts and the target lacks; 0 when none, or when nobody knows. */
  readonly short: number;
  /** Upper bound on the rows of the target that came from other sources. */
  readonly otherRows: number;
  /** Events that could be missing unnoticed, because rows of other sources stand in for them. */
  readonly hidden: number;
}

/**
 * short = total − rows − rejected. A negative difference is not short: the target may hold more.
 * @param knownRows what the server said it inserted since the target was empty; `null` when it was not. Only when
 *   they are too few is every row counted: that takes as long as a tenth of the job.
 */
export async function checkCompleteness(
  db: Database,
  source: string,
  total: number | null,
  knownRows: number | null,
): Promise<Completeness> {
  const read = (rows: number | null) =>
    db.persistently('counting what is there', () => readTargetCounts(db, source, { rows }));
  const completeness = (counts: TargetCounts): Completeness => {
    const lacking = total === null ? 0 : total - counts.rows - counts.rejected;
    const short = Math.max(0, lacking);
    // A row does not say from which source it is, and an event may come from two: a bound, not a count.
    const hidden = short > 0 || total === null ? 0 : Math.max(0, Math.min(total, lacking + counts.otherRows));
    return { total, ...counts, short, hidden };
  };
  const found = completeness(await read(knownRows));
  return found.short === 0 || knownRows === null ? found : completeness(await read(null));
}

/** Only an unlimited run can be held against the total of the data set. */
export function isUnlimited(run: Pick<Run, 'sinceMs' | 'untilMs'>): boolean {
  return run.sinceMs === null && run.untilMs === null;
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

export function describeHidden(found: Completeness): string {
  return (
    `the target also holds ${found.otherRows} rows of other sources: up to ${found.hidden} events of this one could be ` +
    'missing without showing in the count'
  );
}

export function describeShort(found: Completeness): string {
  return (
    `${found.short} events are missing: the API counts ${found.total ?? '?'}, the target has ${found.rows} rows, ` +
    `${found.rejected} events were rejected`
  );
}
