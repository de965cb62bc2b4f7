/** The public table of a source: made from the encoder's column list, never altered once it has rows. */
import pg from 'pg';
import type { PoolClient } from 'pg';
import type { IdColumnTypes } from '../../core/encoded-page.ts';
import { ConfigurationError, describeError } from '../../core/errors.ts';
import { eventColumns, sqlType, undecidedColumns, type EventColumn } from '../../encode/rows/event-columns.ts';
import { DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE, isAboutRows, sqlStateOf } from '../postgres/database-errors.ts';
import type { Database } from '../postgres/database.ts';
import { isHeldByWaiter } from '../postgres/lock-holders.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import { oneRow, type Queryable } from '../postgres/one-row.ts';
import { makeStaging } from './make-staging.ts';
import type { Source, Target } from './source.ts';
import { STAGING_TABLES, lockStaging } from './staging.ts';
import { readTargetFacts, type TargetFacts } from './target-facts.ts';
import { planTarget, refusalOf, type OnConflict, type TargetPlan } from './target-plan.ts';

/**
 * Makes the target when it does not exist, and the staging tables to match it. Existing rows and definitions of the
 * target stay.
 * @returns how many staged pages were dropped because the target has other id types now: they are fetched again
 * @throws ConfigurationError when an existing table does not fit, or the role may not make one.
 */
export async function ensureTarget(
  db: Database,
  source: Source,
  types: IdColumnTypes,
  onConflict: OnConflict = 'ignore',
): Promise<number> {
  const { target } = source;
  try {
    return await db.transaction('making tables', async (client) => {
      let facts = await readFittingTarget(client, target, onConflict);
      if (facts === null) {
        await client.query(`CREATE TABLE IF NOT EXISTS ${definitionOf(target, types)}`);
        facts = await readFittingTarget(client, target, onConflict);
      }
      return makeStaging(client, source, facts?.columns ?? []);
    });
  } catch (error) {
    if (sqlStateOf(error) !== '42501') throw error;
    throw new ConfigurationError(
      `the role may not make or change ${target.described}, or the staging tables for it: ${describeError(error)}. Nothing was ` +
        'changed: GRANT CREATE, USAGE ON SCHEMA public, ingestion TO it, or let it own the tables.',
      { cause: error },
    );
  }
}

/** Before anything is made or changed. @throws ConfigurationError when the table does not fit, or cannot be made */
export async function refuseUnfitTarget(db: Database, target: Target, onConflict: OnConflict): Promise<void> {
  if ((await readFittingTarget(db, target, onConflict)) !== null) return;
  const { role, may } = await oneRow<{ role: string; may: boolean | null }>(
    db,
    `SELECT current_user AS role,
            has_schema_privilege(to_regnamespace('public'), 'CREATE') AND has_schema_privilege(to_regnamespace('public'), 'USAGE') AS may`,
  );
  if (may === true) return;
  throw new ConfigurationError(
    `${target.described} is not there and cannot be made: ` +
      (may === null
        ? 'there is no schema public: CREATE SCHEMA public. Nothing was changed.'
        : `GRANT CREATE, USAGE ON SCHEMA public TO ${role}, or make the table for it. Nothing was changed.`),
  );
}

/**
 * In a merge's transaction: no trigger, rule, policy or column comes before its end, and what is there now decides about it.
 * @throws ConfigurationError when the target cannot be used any more
 */
export async function lockTarget(client: PoolClient, target: Target, onConflict: OnConflict): Promise<TargetPlan> {
  let why: string | null;
  try {
    await client.query(`LOCK TABLE ${target.sql} IN ROW EXCLUSIVE MODE`);
    const facts = await readTargetFacts(client, target);
    why = facts === null ? GONE : refusalOf(facts, onConflict, target.plan);
    if (facts !== null && why === null) return planTarget(facts, onConflict, target.plan);
  } catch (error) {
    if (!isAboutRows(error)) throw error;
    why = describeError(error);
  }
  throw changedMeanwhile(target, why ?? '');
}

/**
 * In a merge's transaction: what follows from the target while it seems empty; `null` when it has rows, or cannot be used. Leaves no lock
 * on it: raising a lock that one holds is how sessions deadlock.
 */
export async function planWhileEmpty(
  client: PoolClient,
  target: Target,
  onConflict: OnConflict,
): Promise<TargetPlan | null> {
  const look = async (): Promise<TargetPlan | null> => {
    if (!(await isTargetEmpty(client, target))) return null;
    const facts = await readTargetFacts(client, target);
    const isFit = facts !== null && refusalOf(facts, onConflict, target.plan) === null;
    return isFit ? planTarget(facts, onConflict, target.plan) : null;
  };
  await client.query('SAVEPOINT look');
  const plan = await look().catch((error: unknown) => {
    // It is not there any more, for example: whoever locks it will say so.
    if (isAboutRows(error)) return null;
    throw error;
  });
  await client.query('ROLLBACK TO SAVEPOINT look; RELEASE SAVEPOINT look');
  return plan;
}

/** How long others wait behind a wish to have the table alone, ms at a time: long enough for what they are reading just now. */
const ALONE_PATIENCE_MS = 3_000;
/**
 * The same for a merge, of an empty table, which nobody reads for long. Less than a session waits before it looks for a deadlock (1 s): a
 * dump that begins to wait for the merge meanwhile is not ended.
 */
const MERGE_PATIENCE_MS = 900;
/** Then a process that was stopped, or cut off, loses the table that it has alone. No merge pauses for longer than four seconds. */
const IDLE_ALONE_MS = 10_000;

/**
 * In a transaction without a lock on the target.
 * @param isPatient waits for others; else nobody has to wait behind this
 * @returns false when somebody uses it, and does not let go of it: roll back to a savepoint then
 */
export async function lockTargetAlone(client: PoolClient, target: Target, isPatient: boolean): Promise<boolean> {
  if (await isHeldByWaiter(client, target.oid)) return false;
  try {
    await lockAlone(client, target, isPatient ? MERGE_PATIENCE_MS : null);
    return true;
  } catch (error) {
    const sqlState = sqlStateOf(error);
    if (sqlState === LOCK_NOT_AVAILABLE || sqlState === DEADLOCK_DETECTED) return false;
    throw error;
  }
}

/** @param patienceMs `null`: not at all */
async function lockAlone(
  client: PoolClient,
  { sql }: Target,
  patienceMs: number | null = ALONE_PATIENCE_MS,
): Promise<void> {
  const lock = `LOCK TABLE ${sql} IN ACCESS EXCLUSIVE MODE`;
  await client.query(patienceMs === null ? `${lock} NOWAIT` : `SET LOCAL lock_timeout = ${patienceMs}; ${lock}`);
  await client.query(`SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = ${IDLE_ALONE_MS}`);
}

/** The types of the id columns and whether there are rows; `null` when there is no table yet. Waits out an outage. */
export async function readTargetTypes(
  db: Database,
  target: Target,
): Promise<{ types: IdColumnTypes; empty: boolean } | null> {
  return db.persistently('reading the types of the target', async () => {
    const facts = await readFittingTarget(db, target, 'ignore');
    if (facts === null) return null;
    return { types: planTarget(facts, 'ignore', target.plan).types, empty: await isTargetEmpty(db, target) };
  });
}

/**
 * Gives an empty table other id types, keeping grants and whatever else somebody put on it; changes nothing where they are
 * right. Waits out an outage, and whoever uses the table, as long as an outage is waited for. Pages that are staged with rows
 * of other types are dropped, and the job begins anew from its state: see {@link makeStaging}.
 * @returns how many pages were dropped
 * @throws ConfigurationError when it is not empty, or something depends on a column: types are decided once.
 */
export async function retypeTarget(db: Database, source: Source, types: IdColumnTypes): Promise<number> {
  const { target } = source;
  // Doing it twice gives the same, so it does not matter whether a COMMIT that was not answered happened.
  return db.persistently('giving the target its types', () =>
    db.transaction('making tables', async (client) => {
      const facts = await readTargetFacts(client, target);
      if (facts === null) throw changedMeanwhile(target, GONE);
      const wrong = undecidedColumns(target.plan).filter((column) =>
        facts.columns.some(({ name, type }) => name === column.name && type !== sqlType(column, types)),
      );
      if (wrong.length === 0) return makeStaging(client, source, facts.columns);
      await retype(client, source, wrong, types);
      return makeStaging(client, source, (await readTargetFacts(client, target))?.columns ?? []);
    }),
  );
}

async function retype(
  client: PoolClient,
  source: Source,
  wrong: readonly EventColumn[],
  types: IdColumnTypes,
): Promise<void> {
  const { target } = source;
  for (const table of STAGING_TABLES) await lockStaging(client, source, table);
  await lockAlone(client, target);
  if (!(await isTargetEmpty(client, target))) {
    throw new ConfigurationError(
      `${target.described} has rows, so its id types cannot change; --reset would empty it first`,
    );
  }
  for (const column of wrong) {
    const name = quoteIdentifier(column.name);
    const type = sqlType(column, types);
    try {
      await client.query(`ALTER TABLE ${target.sql} ALTER COLUMN ${name} TYPE ${type} USING ${name}::text::${type}`);
    } catch (error) {
      if (!(error instanceof pg.DatabaseError) || !isAboutRows(error)) throw error;
      const detail = error.detail === undefined ? '' : ` (${error.detail})`;
      throw new ConfigurationError(
        `${target.described} cannot be used: the source's ids make its column ${column.name} ${type}, and ` +
          `PostgreSQL does not change it: ${error.message}${detail}. Its definition and rows are as they were: drop what depends on ` +
          'the column, or use another database.',
      );
    }
  }
}

/**
 * Empties the target, whoever has put rows there, in the caller's transaction.
 * @throws ConfigurationError when this role cannot see all of what it would empty, or PostgreSQL does not let it
 */
export async function emptyTarget(client: PoolClient, target: Target): Promise<void> {
  const facts = await readTargetFacts(client, target);
  const [heir] = facts?.heirs ?? [];
  if (heir !== undefined) {
    throw new ConfigurationError(
      `${heir} inherits from ${target.described}, and --reset would empty it, too. Nothing was changed: ` +
        'take it out (NO INHERIT), or empty them yourself.',
    );
  }
  if (facts?.isFiltered === true) {
    throw new ConfigurationError(
      `${target.described} has row security: --reset would also delete rows that this role cannot see. ` +
        'Nothing was changed: let a role empty it that sees them all.',
    );
  }
  try {
    await lockAlone(client, target);
    await client.query(`TRUNCATE ${target.sql}`);
  } catch (error) {
    if (!isAboutRows(error)) throw error;
    throw new ConfigurationError(
      `${target.described} cannot be emptied: ${describeError(error)}. Nothing was changed.`,
      { cause: error },
    );
  }
}

/** Of the target and all its partitions. */
const noPageIn = ({ oid }: Target): string => `(
  SELECT coalesce(sum(pg_relation_size(relid)), 0) = 0 FROM (
    SELECT relid::oid FROM pg_partition_tree(${oid}) UNION SELECT ${oid}) AS tables)`;

/** Whether there is no page in the target: so no row either that nobody shows this role. */
export async function hasNoPage(db: Queryable, target: Target): Promise<boolean> {
  return (await oneRow<{ empty: boolean }>(db, `SELECT ${noPageIn(target)} AS empty`)).empty;
}

/** Whether the target, which must exist, has no row at all: where row security may hide rows, only a file without a page shows it. */
export async function isTargetEmpty(db: Queryable, target: Target): Promise<boolean> {
  const { empty } = await oneRow<{ empty: boolean }>(
    db,
    `SELECT NOT EXISTS (SELECT FROM ${target.sql}) AND (NOT row_security_active(${target.oid}) OR ${noPageIn(target)}) AS empty`,
  );
  return empty;
}

/** What follows CREATE TABLE. */
export function definitionOf({ sql, plan }: Target, types: IdColumnTypes): string {
  const columns = eventColumns(plan).map((column) => {
    const key = column.name === 'id' ? ' PRIMARY KEY' : '';
    return `${quoteIdentifier(column.name)} ${sqlType(column, types)}${key}`;
  });
  return `${sql} (${columns.join(', ')}, ingested_at timestamptz NOT NULL DEFAULT now())`;
}

/** A table that somebody else made must have our columns: COPY writes binary values by type. */
async function readFittingTarget(
  client: Queryable,
  target: Target,
  onConflict: OnConflict,
): Promise<TargetFacts | null> {
  const facts = await readTargetFacts(client, target);
  const why = facts === null ? null : refusalOf(facts, onConflict, target.plan);
  if (why !== null) throw doesNotFit(target, why);
  return facts;
}

const GONE = 'it is not there any more';

function changedMeanwhile(target: Target, why: string): ConfigurationError {
  return new ConfigurationError(
    `${target.described} was changed while the job ran, and cannot be used any more: ${why}. What was ` +
      'merged before is as it is, and the pages stay staged: mend that, and start again.',
  );
}

function doesNotFit(target: Target, why: string): ConfigurationError {
  return new ConfigurationError(
    `${target.described} cannot be used: ${why}. Nothing was changed; mend that, rename the table, give the source another name ` +
      '(--source), or use another database.',
  );
}
