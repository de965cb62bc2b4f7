/**
 * Rows into an empty target, not through its index: the key is dropped, the rows are moved as they come, double ids
 * are removed, the key is built again with all its parallelism. Nobody sees the table without its key, because all of
 * it is one transaction that holds the table exclusively. Twice to three times as fast as through the index; the
 * figures are in bench/README.md.
 *
 * Double ids: windows overlap at their edges, so ids that were served near or beyond their window's bounds are looked
 * at beforehand, which costs a scan. Whatever is double besides makes building the key fail; only then are all ids
 * sorted to find out.
 */
import type { PoolClient } from 'pg';
import { sqlStateOf } from './database-errors.ts';
import { quoteIdentifier } from './identifiers.ts';
import { STAGED_COLUMNS, TARGET_COLUMNS, WINDOW_OF, winnerFirst } from './merge-sql.ts';
import type { MergeScope } from './merge-sql.ts';
import { TARGET } from './schema/ingested-events.ts';

/** How long readers of an empty table may keep the merge from the quick way. */
const TARGET_LOCK_TIMEOUT_MS = 3_000;
/** Above this part of double ids, sorting whole rows once is cheaper than moving them twice. */
const MANY_DOUBLES = 0.05;
/** Bounds are sent widened by a millisecond, and are inclusive or not. */
const EDGE_MS = 2;
/** Beyond this, epoch milliseconds are outside of what `to_timestamp` takes. */
const WIDEST_BOUND_MS = 8e15;
const KEY_BUILD_MEMORY = '256MB';

export interface FirstLoad {
  readonly inserted: number;
  /** A relation with all ids that were staged more than once, or `null` when there were none. The merge drops it. */
  readonly doubles: string | null;
}

const OVERLAP = 'ingestion.merge_overlap';
const DOUBLED = 'ingestion.merge_doubled';

/**
 * @returns `null` when the ordinary way must be taken: the target has rows, somebody is using it, or its key cannot be
 *   dropped (a foreign key or a view needs it, or it is not as the job made it). Nothing has changed then.
 * @throws what the server says of the rows; roll back to before.
 */
export async function loadEmptyTarget(client: PoolClient, scope: MergeScope): Promise<FirstLoad | null> {
  if (!(await isTargetEmpty(client))) return null;
  await client.query('SAVEPOINT first_load');
  const keyName = await dropKey(client);
  if (keyName === null) {
    await client.query('ROLLBACK TO SAVEPOINT first_load; RELEASE SAVEPOINT first_load');
    return null;
  }
  const addKey = `ALTER TABLE ${TARGET} ADD CONSTRAINT ${quoteIdentifier(keyName)} PRIMARY KEY (id)`;
  await client.query(`SET LOCAL maintenance_work_mem = '${KEY_BUILD_MEMORY}'; SAVEPOINT rows`);
  const overlapping = await findOverlap(client, scope);
  let inserted = overlapping ? await insertAroundOverlap(client, scope) : await insertAll(client, scope);
  let doubles = overlapping ? OVERLAP : null;
  await client.query('SAVEPOINT key');
  try {
    await client.query(addKey);
  } catch (error) {
    if (sqlStateOf(error) !== '23505') throw error;
    await client.query('ROLLBACK TO SAVEPOINT key');
    inserted = await removeDoubles(client, scope, inserted);
    doubles = DOUBLED;
    await client.query(addKey);
  }
  return { inserted, doubles };
}

/** Relations that {@link loadEmptyTarget} may have made. */
export const FIRST_LOAD_RELATIONS = [OVERLAP, DOUBLED] as const;

async function isTargetEmpty(client: PoolClient): Promise<boolean> {
  const { rows } = await client.query<{ empty: boolean }>(`SELECT NOT EXISTS (SELECT FROM ${TARGET}) AS empty`);
  return rows[0]?.empty === true;
}

/** @returns the constraint's name, or `null` when it must stay. */
async function dropKey(client: PoolClient): Promise<string | null> {
  try {
    await client.query(`SET LOCAL lock_timeout = ${TARGET_LOCK_TIMEOUT_MS}`);
    await client.query(`LOCK TABLE ${TARGET} IN ACCESS EXCLUSIVE MODE`);
    await client.query('SET LOCAL lock_timeout = 0');
    if (!(await isTargetEmpty(client))) return null;
    const { rows } = await client.query<{ name: string }>(PLAIN_KEY_SQL);
    const key = rows[0];
    if (key === undefined) return null;
    await client.query(`ALTER TABLE ${TARGET} DROP CONSTRAINT ${quoteIdentifier(key.name)}`);
    return key.name;
  } catch (error) {
    // Somebody uses the table, something depends on the key, or the table is another role's.
    const sqlState = sqlStateOf(error);
    if (sqlState === '55P03' || sqlState === '2BP01' || sqlState === '42501') return null;
    throw error;
  }
}

/** A primary key on (id) with nothing about it that building it again would lose. */
const PLAIN_KEY_SQL = `
  SELECT c.conname AS name
    FROM pg_constraint c
    JOIN pg_index i ON i.indexrelid = c.conindid
    JOIN pg_class x ON x.oid = i.indexrelid
    JOIN pg_class r ON r.oid = c.conrelid
   WHERE c.conrelid = to_regclass('${TARGET}') AND c.contype = 'p' AND NOT c.condeferrable
     AND pg_get_constraintdef(c.oid) = 'PRIMARY KEY (id)'
     AND r.relkind = 'r' AND r.relreplident <> 'i' AND NOT i.indisclustered
     AND x.reltablespace = 0 AND x.reloptions IS NULL
     AND obj_description(c.oid, 'pg_constraint') IS NULL AND obj_description(x.oid, 'pg_class') IS NULL`;

async function insertAll(client: PoolClient, scope: MergeScope): Promise<number> {
  const { rowCount } = await client.query(
    `INSERT INTO ${TARGET} (${TARGET_COLUMNS}) SELECT ${STAGED_COLUMNS} FROM ${scope.names.rows} s`,
  );
  return rowCount ?? 0;
}

async function insertDistinct(client: PoolClient, scope: MergeScope, among: string): Promise<number> {
  const { rowCount } = await client.query(
    `INSERT INTO ${TARGET} (${TARGET_COLUMNS})
     SELECT DISTINCT ON (s.id) ${STAGED_COLUMNS} FROM ${scope.names.rows} s ${among}
      ORDER BY s.id, ${winnerFirst(scope.onConflict)}`,
  );
  return rowCount ?? 0;
}

/** Ids near or beyond the bounds of the window that served them, when there is more than one window. */
async function findOverlap(client: PoolClient, scope: MergeScope): Promise<boolean> {
  const { rows } = await client.query<{ windows: number }>(
    `SELECT count(DISTINCT (run_id, window_id))::int AS windows FROM ${scope.names.ledger}`,
  );
  if ((rows[0]?.windows ?? 0) < 2) return false;
  const bound = (column: string, offsetMs: number): string =>
    `CASE WHEN abs(${column}) < ${WIDEST_BOUND_MS} THEN to_timestamp((${column} + ${offsetMs}) / 1000) END`;
  const { rowCount } = await client.query(
    `CREATE UNLOGGED TABLE ${OVERLAP} AS
     WITH bounds AS MATERIALIZED (
       SELECT window_id, ${bound('since_ms', EDGE_MS)} AS low, ${bound('until_ms', -EDGE_MS)} AS high
         FROM ingestion.state WHERE run_id = ${scope.runId}
     )
     SELECT DISTINCT s.id FROM ${scope.names.rows} s JOIN bounds b ON b.window_id = ${WINDOW_OF}
      WHERE s.occurred_at <= b.low OR s.occurred_at >= b.high OR s.occurred_at IS NULL`,
  );
  return (rowCount ?? 0) > 0;
}

async function insertAroundOverlap(client: PoolClient, scope: MergeScope): Promise<number> {
  // Without statistics the planner thinks of a nested loop.
  await client.query(`ANALYZE ${OVERLAP}`);
  const { rowCount } = await client.query(
    `INSERT INTO ${TARGET} (${TARGET_COLUMNS})
     SELECT ${STAGED_COLUMNS} FROM ${scope.names.rows} s WHERE NOT EXISTS (SELECT FROM ${OVERLAP} o WHERE o.id = s.id)`,
  );
  return (rowCount ?? 0) + (await insertDistinct(client, scope, `JOIN ${OVERLAP} o ON o.id = s.id`));
}

/** The key could not be built: finds every double id, and leaves its best row. */
async function removeDoubles(client: PoolClient, scope: MergeScope, insertedWithDoubles: number): Promise<number> {
  const found = await client.query(
    `CREATE UNLOGGED TABLE ${DOUBLED} AS SELECT s.id FROM ${scope.names.rows} s GROUP BY s.id HAVING count(*) > 1`,
  );
  const doubled = found.rowCount ?? 0;
  if (doubled > insertedWithDoubles * MANY_DOUBLES) {
    // The table of doubles must outlive the rollback: made again, it is small beside sorting all rows.
    await client.query('ROLLBACK TO SAVEPOINT rows');
    const inserted = await insertDistinct(client, scope, '');
    await client.query(
      `CREATE UNLOGGED TABLE ${DOUBLED} AS SELECT s.id FROM ${scope.names.rows} s GROUP BY s.id HAVING count(*) > 1`,
    );
    return inserted;
  }
  await client.query(`ANALYZE ${DOUBLED}`);
  const deleted = await client.query(`DELETE FROM ${TARGET} t USING ${DOUBLED} d WHERE t.id = d.id`);
  const again = await insertDistinct(client, scope, `JOIN ${DOUBLED} d ON d.id = s.id`);
  return insertedWithDoubles - (deleted.rowCount ?? 0) + again;
}
