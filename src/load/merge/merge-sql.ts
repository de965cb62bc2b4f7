/** SQL that all ways of moving rows share: which row of an id wins, and what a conflict does. */
import { EVENT_COLUMNS } from '../../encode/rows/event-columns.ts';
import { columnList, quoteIdentifier } from '../postgres/identifiers.ts';
import { EVENT_COLUMN_NAMES } from '../schema/ingested-events.ts';
import type { Source } from '../schema/source.ts';
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

export const TARGET_COLUMNS = columnList(EVENT_COLUMN_NAMES);

export const STAGED_COLUMNS = columnList(EVENT_COLUMN_NAMES, 's');

/** What an update may change. */
const CHANGED_COLUMNS = EVENT_COLUMNS.filter((column) => column.name !== 'id');

/** The parts of `source_order`: see `firstSourceOrder`. */
export const WINDOW_OF = '(s.source_order >> 40)::int';
export const PAGE_OF = '((s.source_order >> 16) & 16777215)::int';
export const POSITION_OF = '(s.source_order & 65535)::int';

/**
 * ORDER BY that puts the best row of an id first. `ignore` keeps the first row in serving order. `update` keeps the newest
 * `occurred_at` (null is oldest), and on a tie the row that was served later.
 */
export function winnerFirst(onConflict: OnConflict): string {
  return onConflict === 'ignore' ? 's.source_order' : 's.occurred_at DESC NULLS LAST, s.source_order DESC';
}

/**
 * What happens when the target already has the id. The clause names its column, because a violation of another unique index
 * is a refusal, not a duplicate. For `update` the incoming row wins a tie, and an identical row changes nothing. jsonb is
 * compared as text: 1.10 and 1.1 are equal as jsonb, but not the same value. Texts are compared byte by byte: a column may have
 * a collation under which different ones are equal.
 */
export function conflictClause(scope: MergeScope): string {
  if (scope.onConflict === 'ignore') return 'ON CONFLICT (id) DO NOTHING';
  return `${overwritingClause(scope)} WHERE ${changesRow('excluded')}`;
}

/** The same for `update`, whether or not the incoming row is newer, or another one. */
export function overwritingClause({ plan }: MergeScope): string {
  const assignments = CHANGED_COLUMNS.map(({ name }) => `${quoteIdentifier(name)} = excluded.${quoteIdentifier(name)}`);
  if (plan.hasIngestedAt) assignments.push('ingested_at = now()');
  return `ON CONFLICT (id) DO UPDATE SET ${assignments.join(', ')}`;
}

/** For a row `t` of the target that has the id of the row `incoming`: whether the incoming one leaves it as it is. */
export function changesNothing(onConflict: OnConflict, incoming: string): string {
  return onConflict === 'ignore' ? 'true' : `(${changesRow(incoming)}) IS NOT TRUE`;
}

function changesRow(incoming: string): string {
  const side = (alias: string): string =>
    CHANGED_COLUMNS.map(
      ({ name, type }) => `${alias}.${quoteIdentifier(name)}${type === 'timestamptz' ? '' : '::text COLLATE "C"'}`,
    ).join(', ');
  return `(t.occurred_at IS NULL OR ${incoming}.occurred_at >= t.occurred_at)
      AND (${side('t')}) IS DISTINCT FROM (${side(incoming)})`;
}

/** Selects a staged row as the texts that `rebuildEvent` reads; times in ISO 8601, whatever DateStyle says. */
export const STAGED_EVENT = EVENT_COLUMNS.map(({ name, type }) => {
  const column = `s.${quoteIdentifier(name)}`;
  return `${type === 'timestamptz' ? `to_json(${column}) #>> '{}'` : `${column}::text`} AS ${quoteIdentifier(name)}`;
}).join(', ');
