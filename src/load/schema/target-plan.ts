/**
 * What follows from what the target is. Every way that the job has with it is chosen here: whether it can be used at all,
 * which merge is open, whose code may leave rows out, how updates are counted. Pure.
 */
import type { IdColumnType, IdColumnTypes } from '../../core/encoded-page.ts';
import { DATASYNC_PLAN } from '../../encode/plan/datasync-plan.ts';
import { eventColumns, undecidedColumns, type EventColumn } from '../../encode/rows/event-columns.ts';
import type { TargetColumn, TargetFacts } from './target-facts.ts';

export type OnConflict = 'ignore' | 'update';

export interface TargetPlan {
  readonly types: IdColumnTypes;
  /** Why rows must go through the index even while the table is empty, half a sentence; `null`: the quick way is open. */
  readonly indexNeededBy: string | null;
  /** TRUNCATE of the empty table would spare its rows the write-ahead log, and touch nothing of anybody's. */
  readonly sparesWal: boolean;
  /** Triggers that can leave a row out, or take it out again. */
  readonly watchedTriggers: readonly string[];
  /** Ids may have rows in tables that inherit from it, which `ON CONFLICT` does not see. */
  readonly hasHeirs: boolean;
  /** The server returns `xmax`, by which a new row is told from an updated one. */
  readonly returnsXmax: boolean;
  /** An update can note when it was: the column is there, and takes a time. */
  readonly hasIngestedAt: boolean;
}

/** Types that `now()` fits. */
const TIMES: readonly string[] = ['timestamp with time zone', 'timestamp without time zone', 'date'];

/**
 * @param facts of a table that {@link refusalOf} has nothing against
 * @param columns of the source; DataSync's unless given
 */
export function planTarget(facts: TargetFacts, onConflict: OnConflict, columns = DATASYNC_PLAN): TargetPlan {
  const watched = facts.triggers.filter(({ onInsert, onUpdate }) => onInsert || (onUpdate && onConflict === 'update'));
  return {
    types: Object.fromEntries(
      undecidedColumns(columns).map(({ name, decidedBy }) => [decidedBy, idTypeOf(facts, name)]),
    ),
    indexNeededBy: indexNeededBy(facts),
    sparesWal: sparesWal(facts),
    watchedTriggers: watched.map(({ name }) => name),
    hasHeirs: facts.heirs.length > 0,
    returnsXmax: facts.kind === 'r',
    hasIngestedAt: facts.columns.some(
      ({ name, type, isGenerated }) => name === 'ingested_at' && TIMES.includes(type) && !isGenerated,
    ),
  };
}

/** Whether an empty table may be filled without its key. */
export function hasQuickWay({ indexNeededBy, watchedTriggers, hasHeirs }: TargetPlan): boolean {
  return indexNeededBy === null && watchedTriggers.length === 0 && !hasHeirs;
}

/** Why the table cannot be used, and what to do, one sentence or two; `null` when it can. */
export function refusalOf(facts: TargetFacts, onConflict: OnConflict, columns = DATASYNC_PLAN): string | null {
  return (
    refusalOfRelation(facts, onConflict) ??
    refusalOfColumns(facts, eventColumns(columns)) ??
    refusalOfKey(facts) ??
    refusalOfRights(facts, onConflict)
  );
}

const KINDS: Readonly<Record<string, string>> = {
  v: 'a view',
  m: 'a materialized view',
  f: 'a foreign table',
  S: 'a sequence',
  c: 'a type',
};

function refusalOfRelation({ kind, rules, heirs, unidentified }: TargetFacts, onConflict: OnConflict): string | null {
  if (kind !== 'r' && kind !== 'p') return `it is ${KINDS[kind] ?? 'something else'}, not a table`;
  const [heir] = heirs;
  if (heir !== undefined && onConflict === 'update') {
    return `${heir} inherits from it, and --on-conflict update cannot change the rows that are there; ignore leaves them alone`;
  }
  if (unidentified !== null && onConflict === 'update') {
    return `a publication passes on the updates of ${unidentified}, which has no replica identity, so PostgreSQL refuses them: ALTER TABLE ${unidentified} REPLICA IDENTITY FULL, or a primary key and DEFAULT`;
  }
  const [rule] = rules;
  return rule === undefined ? null : `its rule "${rule}" does not work with INSERT … ON CONFLICT; a trigger does`;
}

function refusalOfColumns({ columns, triggers }: TargetFacts, ours: readonly EventColumn[]): string | null {
  for (const column of ours) {
    const found = columns.find(({ name }) => name === column.name);
    const fitting = fittingTypes(column);
    if (found === undefined || !fitting.includes(found.type)) {
      return `its column ${column.name} is ${found?.type ?? 'missing'}, not ${fitting.join(' or ')}`;
    }
    if (found.isGenerated) return `its column ${column.name} is generated, so the job cannot write it`;
  }
  // A trigger may fill it in.
  if (triggers.some(({ onInsert }) => onInsert)) return null;
  const isOurs = ({ name }: TargetColumn): boolean => ours.some((column) => column.name === name);
  const unfilled = columns.find((column) => column.isNotNull && !column.hasDefault && !isOurs(column));
  if (unfilled === undefined) return null;
  return `its column ${unfilled.name} is NOT NULL without a default, and no event fills it: give it a default, or let it be null`;
}

/** Under a nondeterministic collation different ids are equal: one of them would pass for the other served again. */
function refusalOfKey({ isUniqueById, looseCollation }: TargetFacts): string | null {
  if (!isUniqueById) return 'it has no primary key or unique constraint on (id)';
  if (looseCollation === null) return null;
  return `its column id, or a unique index on it, has the nondeterministic collation ${looseCollation}, under which different ids are equal`;
}

function refusalOfRights(facts: TargetFacts, onConflict: OnConflict): string | null {
  const { relation, role, maySelect, mayInsert, mayUpdate, isFiltered, permitted } = facts;
  const needed = onConflict === 'update' ? 'SELECT, INSERT, UPDATE' : 'SELECT, INSERT';
  if (!maySelect || !mayInsert || (onConflict === 'update' && !mayUpdate)) {
    return `the role ${role} lacks rights on it: GRANT ${needed} ON ${relation} TO ${role}`;
  }
  if (!isFiltered) return null;
  const commands = onConflict === 'update' ? { r: 'SELECT', a: 'INSERT', w: 'UPDATE' } : { r: 'SELECT', a: 'INSERT' };
  const lacking = Object.entries(commands).find(([command]) => !permitted.includes(command));
  if (lacking === undefined) return null;
  return `its row security has no policy that lets the role ${role} ${lacking[1]}: CREATE POLICY, or give the role BYPASSRLS`;
}

/** Only what nobody else depends on, and nobody else has rows in, may be without its key for a moment, or be emptied again. */
function indexNeededBy({
  kind,
  isOwner,
  isFiltered,
  triggers,
  referencedBy,
  publications,
  mayMakeIndex,
}: TargetFacts): string | null {
  if (kind !== 'r') return 'it is partitioned';
  if (!isOwner) return 'another role owns it';
  if (!mayMakeIndex) return 'the role may not CREATE in its schema';
  if (isFiltered) return 'row security may hide rows of others';
  const trigger = triggers.find(({ onInsert, onDelete, onTruncate }) => onInsert || onDelete || onTruncate);
  if (trigger !== undefined) return `it has the trigger ${trigger.name}`;
  const [referencing] = referencedBy;
  if (referencing !== undefined) return `a foreign key of ${referencing} points to it`;
  const [publication] = publications;
  return publication === undefined ? null : `the publication ${publication} would pass on what is taken out again`;
}

/**
 * The merge then has the table for itself to its end, the quick way or not. So nothing may make it wait meanwhile for a session that
 * waits for the table: a foreign key for the row that it points to, code of a trigger for a session of its own.
 */
function sparesWal(facts: TargetFacts): boolean {
  const { serverSparesWal, mayTruncate, isInFiles, heirs, triggers, referencedBy, hasReferences, publications } = facts;
  return (
    serverSparesWal &&
    mayTruncate &&
    isInFiles &&
    !hasReferences &&
    !triggers.some(({ onInsert, onTruncate }) => onInsert || onTruncate) &&
    [heirs, referencedBy, publications].every(({ length }) => length === 0)
  );
}

function idTypeOf({ columns }: TargetFacts, name: string): IdColumnType {
  return columns.find((column) => column.name === name)?.type === 'text' ? 'text' : 'uuid';
}

function fittingTypes({ type }: EventColumn): readonly string[] {
  if (typeof type !== 'string') return ['uuid', 'text'];
  return [type === 'timestamptz' ? 'timestamp with time zone' : type];
}
