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
import { TARGET } from '../schema/target-facts.ts';

const COUNT_PATIENCE_MS = 100;
/** The row is always there. Where somebody has taken it away, the runs still say what they have put into the table. */
const REMEMBERED = `SELECT CASE WHEN EXISTS (SELECT FROM ingestion.target_rows)
    THEN (SELECT rows FROM ingestion.target_rows) ELSE (SELECT nullif(sum(inserted), 0) FROM ingestion.run) END::float8`;

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

const DELETIONS = `pg_stat_get_tuples_deleted(to_regclass('${TARGET}'))`;
const FILE = `pg_relation_filenode(to_regclass('${TARGET}'))`;

/** Counts one by one: exact, and seconds for many millions. All figures are of one moment, also beside a merge. */
export async function readTargetRows(db: Queryable): Promise<TargetRows> {
  const there = await oneRow<{ target: boolean; remembered: boolean; run: boolean; deletions: number }>(
    db,
    `SELECT coalesce(${DELETIONS}, 0)::float8 AS deletions,
            to_regclass('${TARGET}') IS NOT NULL AS target, to_regclass('ingestion.target_rows') IS NOT NULL AS remembered,
            to_regclass('ingestion.run') IS NOT NULL AS run`,
  );
  // Gone, or a database that only an earlier version has used, or nobody.
  const counted = there.target ? `SELECT count(*) FROM ${TARGET}` : 'SELECT 0';
  const remembered = there.remembered ? REMEMBERED : 'SELECT NULL::float8';
  const isSameFile = there.remembered ? `coalesce((SELECT file = ${FILE} FROM ingestion.target_rows), false)` : 'true';
  const hasLoaded = there.run ? 'EXISTS (SELECT FROM ingestion.run WHERE inserted > 0)' : 'false';
  const found = await oneRow<Omit<TargetRows, 'deletions'>>(
    db,
    `SELECT (${counted})::float8 AS rows, (${remembered}) AS remembered, ${hasLoaded} AS "hasLoaded",
            ${isSameFile} AS "isSameFile"`,
  );
  return { ...found, deletions: there.deletions };
}

/** Waits out an outage, and whoever holds the table. */
export async function countRows(db: Database): Promise<TargetRows> {
  const what = 'counting the rows of the target';
  return db.persistently(what, () => db.transaction(what, readTargetRows));
}

/**
 * Whether the rows that a first load has put into the table can be taken for being there, without being counted: all of the
 * table's rows are its own, it is the same logged file, the server has not crashed, no trigger could take rows out, and the
 * statistics know of no deletion. Far cheaper than counting, because the first reader of fresh rows writes most of the table
 * again. What others delete in the last seconds of the run is seen by the next start, `verify` and `export-ids`, like what they
 * delete in the seconds after it.
 * @param inserted by the run
 * @param epoch of its staging, which a crash of the server takes away
 */
export async function isTargetUntouched(
  db: Queryable,
  { inserted, epoch }: { readonly inserted: number; readonly epoch: string },
): Promise<boolean> {
  const { rows } = await db.query<{ untouched: boolean | null }>(
    `SELECT r.rows = $1 AND r.file = ${FILE} AND r.deletions = ${DELETIONS} AND c.relpersistence = 'p'
            AND current_setting('track_counts')::bool
            AND EXISTS (SELECT FROM ingestion.staging_epoch WHERE epoch = $2)
            AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal) AS untouched
       FROM ingestion.target_rows r, pg_class c WHERE c.oid = to_regclass('${TARGET}')`,
    [inserted, epoch],
  );
  return rows[0]?.untouched === true;
}

/**
 * The same beside other work, before the target is taken; `null` where it cannot be counted now: a merge of another job holds
 * the table, or only earlier versions have used this database, or nobody.
 */
export async function countRowsMeanwhile(db: Database): Promise<TargetRows | null> {
  const sql = `SELECT to_regclass('ingestion.target_rows') IS NOT NULL AS known`;
  const { known } = await oneRow<{ known: boolean }>(db, sql);
  if (!known) return null;
  try {
    return await db.transaction('status', async (client) => {
      await client.query(`SET LOCAL lock_timeout = ${COUNT_PATIENCE_MS}`);
      return readTargetRows(client);
    });
  } catch (error) {
    if (sqlStateOf(error) === LOCK_NOT_AVAILABLE) return null;
    throw error;
  }
}

/** Rows that the job left, without counting them; `null` when they were never counted. */
export async function rememberedRows(db: Queryable): Promise<number | null> {
  const { rows } = await oneRow<{ rows: number | null }>(db, `SELECT (${REMEMBERED}) AS rows`);
  return rows;
}

/** In the transaction that counted them, or emptied the table. */
export async function rememberTargetRows(
  client: Queryable,
  { rows, deletions }: Pick<TargetRows, 'rows' | 'deletions'>,
): Promise<void> {
  await client.query(
    `INSERT INTO ingestion.target_rows (rows, deletions, file) VALUES ($1, $2, ${FILE})
     ON CONFLICT (one_row) DO UPDATE SET rows = excluded.rows, deletions = excluded.deletions, file = excluded.file`,
    [rows, deletions],
  );
}

/** In a transaction where TRUNCATE takes nothing of others from the target: its new file is then not taken for that of somebody else. */
export async function truncateOwnTarget(client: PoolClient): Promise<void> {
  const { isSame } = await oneRow<{ isSame: boolean }>(
    client,
    `SELECT EXISTS (SELECT FROM ingestion.target_rows WHERE file = ${FILE}) AS "isSame"`,
  );
  await client.query(`TRUNCATE ${TARGET}`);
  if (isSame) await client.query(`UPDATE ingestion.target_rows SET file = ${FILE}`);
}

/**
 * In the merge that inserted them: they are added to what was remembered. Another file than before means that somebody has
 * emptied the table, or made it anew; this is not forgotten by what is merged behind it.
 * @param wasEmpty the merge found the table empty, under its lock: where nothing was ever counted, these are all rows
 */
export async function addTargetRows(client: PoolClient, inserted: number, wasEmpty: boolean): Promise<void> {
  await client.query(
    `UPDATE ingestion.target_rows SET rows = coalesce(rows, CASE WHEN $2 THEN 0 END) + $1,
            file = CASE WHEN file = ${FILE} THEN file END`,
    [inserted, wasEmpty],
  );
}
