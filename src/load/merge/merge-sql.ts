/** SQL that all ways of moving rows share: which row of an id wins, and what a conflict does. */
import { eventColumns, type EventColumn } from '../../encode/rows/event-columns.ts';
import { columnList, quoteIdentifier } from '../postgres/identifiers.ts';
import type { Source, Target } from '../schema/source.ts';
import type { StagingNames } from '../schema/staging.ts';
import type { OnConflict, TargetPlan } from '../schema/target-plan.ts';

/** What one merge moves. Its transaction holds the staging table and its ledger exclusively. */
export interface MergeScope {
  readonly source: Source;
  readonly names: StagingNames;
  readonly onConflict: OnConflict;
  /** Of the target as it is under the merge's lock. */
  readonly plan: TargetPlan;
  /** The run whose windows the pages belong to. */
  readonly runId: number;
}

/** How many rows of the target a merge made and changed. */
export interface MovedRows {
  readonly inserted: number;
  readonly updated: number;
}

/** The columns that come from records, as SQL takes them. */
export function targetColumns({ plan }: Target): string {
  return columnList(eventColumns(plan).map(({ name }) => name));
}

/** The same of a staged row `s`. */
export function stagedColumns({ plan }: Target): string {
  return columnList(
    eventColumns(plan).map(({ name }) => name),
    's',
  );
}

/** The parts of `source_order`: see `firstSourceOrder`. */
export const WINDOW_OF = '(s.source_order >> 40)::int';
export const PAGE_OF = '((s.source_order >> 16) & 16777215)::int';
export const POSITION_OF = '(s.source_order & 65535)::int';

/**
 * ORDER BY that puts the best row of an id first. `ignore` keeps the first row in serving order. `update` keeps the newest
 * version (null is oldest), and on a tie the row that was served later.
 */
export function winnerFirst({ plan: { version } }: Target, onConflict: OnConflict): string {
  if (onConflict === 'ignore') return 's.source_order';
  return version === null
    ? 's.source_order DESC'
    : `s.${quoteIdentifier(version)} DESC NULLS LAST, s.source_order DESC`;
}

/**
 * What happens when the target already has the id. The clause names its column, because a violation of another unique index
 * is a refusal, not a duplicate. For `update` the incoming row wins a tie, and an identical row changes nothing. jsonb is
 * compared as text: 1.10 and 1.1 are equal as jsonb, but not the same value. Texts are compared byte by byte: a column may have
 * a collation under which different ones are equal.
 */
export function conflictClause(scope: MergeScope): string {
  if (scope.onConflict === 'ignore') return 'ON CONFLICT (id) DO NOTHING';
  return `${overwritingClause(scope)} WHERE ${changesRow(scope, 'excluded')}`;
}

/** The same for `update`, whether or not the incoming row is newer, or another one. */
export function overwritingClause({ source, plan }: MergeScope): string {
  const assignments = changedColumns(source).map(
    ({ name }) => `${quoteIdentifier(name)} = excluded.${quoteIdentifier(name)}`,
  );
  if (plan.hasIngestedAt) assignments.push('ingested_at = now()');
  return `ON CONFLICT (id) DO UPDATE SET ${assignments.join(', ')}`;
}

/** For a row `t` of the target that has the id of the row `incoming`: whether the incoming one leaves it as it is. */
export function changesNothing(scope: MergeScope, incoming: string): string {
  return scope.onConflict === 'ignore' ? 'true' : `(${changesRow(scope, incoming)}) IS NOT TRUE`;
}

/** What an update may change. */
function changedColumns({ target }: Source): EventColumn[] {
  return eventColumns(target.plan).filter((column) => column.name !== 'id');
}

function changesRow({ source }: MergeScope, incoming: string): string {
  const side = (alias: string): string =>
    changedColumns(source)
      .map(({ name, type }) => `${alias}.${quoteIdentifier(name)}${type === 'timestamptz' ? '' : '::text COLLATE "C"'}`)
      .join(', ');
  const { version } = source.target.plan;
  const column = version === null ? null : quoteIdentifier(version);
  const isNewer = column === null ? 'true' : `(t.${column} IS NULL OR ${incoming}.${column} >= t.${column})`;
  return `${isNewer} AND (${side('t')}) IS DISTINCT FROM (${side(incoming)})`;
}

/** Selects a staged row as the texts that `rebuildEvent` reads; times in ISO 8601, whatever DateStyle says. */
export function stagedEvent({ plan }: Target): string {
  return eventColumns(plan)
    .map(({ name, type }) => {
      const column = `s.${quoteIdentifier(name)}`;
      return `${type === 'timestamptz' ? `to_json(${column}) #>> '{}'` : `${column}::text`} AS ${quoteIdentifier(name)}`;
    })
    .join(', ');
}
