/**
 * How many rows the target has, and how many the job left in it. Fewer than that means that somebody deleted rows or restored
 * an older dump: then what the state says of earlier runs is not to be believed.
 *
 * What is remembered changes in the transaction that changes the rows, so the two cannot disagree by themselves.
 */
import type { PoolClient } from 'pg';
import { LOCK_NOT_AVAILABLE, sqlStateOf } from '../postgres/database-errors.ts';
import type { Database } from '../postgres/database.ts';
import { oneRow, type Queryable } from '../postgres/one-row.ts';
import { findSource, isOf, type Source, type Target } from '../schema/source.ts';

const COUNT_PATIENCE_MS = 100;
const rowOf = (source: Source): string => `FROM ingestion.target_rows WHERE ${isOf('target_rows', source)}`;
const runsOf = (source: Source): string => `FROM ingestion.run WHERE ${isOf('run', source)}`;
/** The row is always there. Where somebody has taken it away, the runs still say what they have put into the table. */
const rememberedOf = (source: Source): string => `SELECT CASE WHEN EXISTS (SELECT ${rowOf(source)})
    THEN (SELECT rows ${rowOf(source)}) ELSE (SELECT nullif(sum(inserted), 0) ${runsOf(source)}) END::float8`;

export interface TargetRows {
  /** 0 too where the table is gone. */
  readonly rows: number;
  /** `null` when they were never counted: the table had rows before the job came, or an older version filled it. */
  readonly remembered: number | null;
  /** Whether any run has put rows into it. */
  readonly hasLoaded: boolean;
  /** Rows that were ever deleted from it, as its statistics said before they were counted. */
  readonly deletions: number;
  /** False: it was emptied, made anew or rewritten since the job left it. */
  readonly isSameFile: boolean;
}

const deletionsOf = ({ oid }: Target): string => `pg_stat_get_tuples_deleted(${oid})`;
const fileOf = ({ oid }: Target): string => `pg_relation_filenode(${oid})`;

/** Counts one by one: exact, and seconds for many millions. All figures are of one moment, also beside a merge. */
export async function readTargetRows(db: Queryable, source: Source): Promise<TargetRows> {
  const { target } = source;
  const there = await oneRow<{ target: boolean; remembered: boolean; run: boolean; deletions: number }>(
    db,
    `SELECT coalesce(${deletionsOf(target)}, 0)::float8 AS deletions, ${target.oid} IS NOT NULL AS target,
            to_regclass('ingestion.target_rows') IS NOT NULL AS remembered, to_regclass('ingestion.run') IS NOT NULL AS run`,
  );
  // Gone, or a database that only an earlier version has used, or nobody.
  const counted = there.target ? `SELECT count(*) FROM ${target.sql}` : 'SELECT 0';
  const remembered = there.remembered ? rememberedOf(source) : 'SELECT NULL::float8';
  const isSameFile = there.remembered ? `coalesce((SELECT file = ${fileOf(target)} ${rowOf(source)}), false)` : 'true';
  const hasLoaded = there.run ? `EXISTS (SELECT ${runsOf(source)} AND inserted > 0)` : 'false';
  const found = await oneRow<Omit<TargetRows, 'deletions'>>(
    db,
    `SELECT (${counted})::float8 AS rows, (${remembered}) AS remembered, ${hasLoaded} AS "hasLoaded",
            ${isSameFile} AS "isSameFile"`,
  );
  return { ...found, deletions: there.deletions };
}

/** Waits out an outage, and whoever holds the table. */
export async function countRows(db: Database, source: Source): Promise<TargetRows> {
  const what = 'counting the rows of the target';
  return db.persistently(what, () => db.transaction(what, (client) => readTargetRows(client, source)));
}

/**
 * Whether the rows that a first load has put into the table can be taken for being there, without being counted: all of the
 * table's rows are its own, it is the same logged file, the server has not crashed, no trigger could take rows out, and the
 * statistics know of no deletion, and were not reset since the run began. That is far cheaper than counting, because the first reader of
 * fresh rows writes most of the table again. What others delete in the last seconds of the run is seen by the next start, `verify` and
 * `export-ids`, like what they delete in the seconds after it.
 * @param inserted by the run
 * @param epoch of its staging, which a crash of the server takes away: see {@link forgetDeletions} for what a new one means
 */
export async function isTargetUntouched(
  db: Queryable,
  { sourceId, target }: Source,
  { inserted, epoch }: { readonly inserted: number; readonly epoch: string },
): Promise<boolean> {
  const { rows } = await db.query<{ untouched: boolean | null }>(
    `SELECT r.rows = $1 AND r.file = ${fileOf(target)} AND r.deletions = ${deletionsOf(target)} AND c.relpersistence = 'p'
            AND current_setting('track_counts')::bool
            AND coalesce(pg_stat_get_db_stat_reset_time((SELECT oid FROM pg_database WHERE datname = current_database()))
                         < (SELECT max(started_at) FROM ingestion.run WHERE source_id = r.source_id), true)
            AND EXISTS (SELECT FROM ingestion.staging_epoch e WHERE e.source_id = r.source_id AND e.epoch = $2)
            AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal) AS untouched
       FROM ingestion.target_rows r, pg_class c WHERE r.source_id = $3 AND c.oid = ${target.oid}`,
    [inserted, epoch, sourceId],
  );
  return rows[0]?.untouched === true;
}

/**
 * The same beside other work, before the target is taken; `null` where it cannot be counted now: a merge of another job holds
 * the table, or no job of the source has started yet.
 */
export async function countRowsMeanwhile(db: Database, sourceName: string): Promise<TargetRows | null> {
  const source = await findSource(db, sourceName);
  if (source === null) return null;
  try {
    return await db.transaction('status', async (client) => {
      await client.query(`SET LOCAL lock_timeout = ${COUNT_PATIENCE_MS}`);
      return readTargetRows(client, source);
    });
  } catch (error) {
    if (sqlStateOf(error) === LOCK_NOT_AVAILABLE) return null;
    throw error;
  }
}

/** In the transaction that counted them, or emptied the table. */
export async function rememberTargetRows(
  client: Queryable,
  { sourceId, target }: Source,
  { rows, deletions }: Pick<TargetRows, 'rows' | 'deletions'>,
): Promise<void> {
  await client.query(
    `INSERT INTO ingestion.target_rows (source_id, rows, deletions, file) VALUES ($1, $2, $3, ${fileOf(target)})
     ON CONFLICT (source_id) DO UPDATE SET rows = excluded.rows, deletions = excluded.deletions, file = excluded.file`,
    [sourceId, rows, deletions],
  );
}

/** When the server has crashed: that takes its statistics away, so that no later number of deletions says that there was none before. */
export async function forgetDeletions(client: Queryable, { sourceId }: Source): Promise<void> {
  await client.query('UPDATE ingestion.target_rows SET deletions = NULL WHERE source_id = $1', [sourceId]);
}

/** In a transaction where TRUNCATE takes nothing of others from the target: its new file is then not taken for that of somebody else. */
export async function truncateOwnTarget(client: PoolClient, { sourceId, target }: Source): Promise<void> {
  const file = await readFile(client, target);
  await client.query(`TRUNCATE ${target.sql}`);
  await client.query(`UPDATE ingestion.target_rows SET file = ${fileOf(target)} WHERE source_id = $1 AND file = $2`, [
    sourceId,
    file,
  ]);
}

/**
 * In a transaction where another table takes the place of the empty target. Where the job has left no row in it, the new one is not taken for
 * that of somebody else. Where it has, somebody has emptied it, and that is not forgotten.
 * @param replace gives false when it has changed nothing
 */
export async function replaceEmptyTarget(
  client: PoolClient,
  { sourceId, target }: Source,
  replace: () => Promise<boolean>,
): Promise<boolean> {
  const file = await readFile(client, target);
  if (!(await replace())) return false;
  await client.query(
    `UPDATE ingestion.target_rows SET file = ${fileOf(target)}, deletions = 0 WHERE source_id = $1 AND file = $2 AND rows = 0`,
    [sourceId, file],
  );
  return true;
}

async function readFile(client: PoolClient, target: Target): Promise<number | null> {
  return (await oneRow<{ file: number | null }>(client, `SELECT ${fileOf(target)} AS file`)).file;
}

/**
 * In the merge that inserted them: they are added to what was remembered. Another file than before means that somebody has
 * emptied the table, or made it anew; this is not forgotten by what is merged behind it.
 * @param wasEmpty the merge found the table empty, under its lock: where nothing was ever counted, these are all rows
 */
export async function addTargetRows(
  client: PoolClient,
  { sourceId, target }: Source,
  inserted: number,
  wasEmpty: boolean,
): Promise<void> {
  await client.query(
    `UPDATE ingestion.target_rows SET rows = coalesce(rows, CASE WHEN $2 THEN 0 END) + $1,
            file = CASE WHEN file = ${fileOf(target)} THEN file END
      WHERE source_id = $3`,
    [inserted, wasEmpty, sourceId],
  );
}
