/**
 * Rows into an empty target, not through its index: the key is dropped, the rows are moved as they come, double ids
 * are removed, the key is built again with all its parallelism. Nobody sees the table without its key, because all of
 * it is one transaction that holds the table exclusively. Twice to three times as fast as through the index; the
 * figures are in bench/README.md.
 *
 * Double ids: windows overlap at their edges, so rows that were served near or beyond their window's bounds are looked
 * at beforehand, which costs a scan on all cores; of those that share an id, only the best is moved. Whatever is double
 * besides makes building the key fail; only then are all ids sorted to find out.
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
  /** Staged rows that were passed over for a better one of their id; `null` when they were not counted. */
  readonly passedOver: number | null;
  /**
   * A relation (id, source_order) with every staged row of every id that was staged more than once, or `null` when there
   * were none. The merge drops it.
   */
  readonly doubles: string | null;
}

const EDGES = 'ingestion.merge_edge';
const PASSED_OVER = 'ingestion.merge_passed_over';
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
  const passedOver = await passOverAtEdges(client, scope);
  const inserted = await insertRest(client, scope, passedOver);
  await client.query('SAVEPOINT key');
  try {
    await client.query(addKey);
    return { inserted, passedOver, doubles: passedOver === 0 ? null : EDGES };
  } catch (error) {
    if (sqlStateOf(error) !== '23505') throw error;
    await client.query('ROLLBACK TO SAVEPOINT key');
    const left = await removeDoubles(client, scope, inserted);
    await client.query(addKey);
    return { inserted: left, passedOver: null, doubles: DOUBLED };
  }
}

/** Relations that {@link loadEmptyTarget} may have made. */
export const FIRST_LOAD_RELATIONS = [EDGES, PASSED_OVER, DOUBLED] as const;

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

async function insertRest(client: PoolClient, scope: MergeScope, passedOver: number): Promise<number> {
  const but =
    passedOver === 0 ? '' : `WHERE NOT EXISTS (SELECT FROM ${PASSED_OVER} p WHERE p.source_order = s.source_order)`;
  const { rowCount } = await client.query(
    `INSERT INTO ${TARGET} (${TARGET_COLUMNS}) SELECT ${STAGED_COLUMNS} FROM ${scope.names.rows} s ${but}`,
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

/**
 * Finds the rows near or beyond the bounds of the window that served them, when there is more than one window.
 * @returns how many of them share their id with a better one
 */
async function passOverAtEdges(client: PoolClient, scope: MergeScope): Promise<number> {
  const bounds = await readBounds(client, scope);
  if (bounds.length < 2) return 0;
  // A list of values, and no query for it, lets the scan go parallel; so does not believing that half of all rows come back.
  await client.query('SET LOCAL parallel_tuple_cost = 0');
  await client.query(
    `CREATE UNLOGGED TABLE ${EDGES} AS
     SELECT s.id, s.source_order, s.occurred_at FROM ${scope.names.rows} s
       JOIN (VALUES ${bounds.join(', ')}) AS b (window_id, low, high) ON b.window_id = ${WINDOW_OF}
      WHERE s.occurred_at <= b.low OR s.occurred_at >= b.high OR s.occurred_at IS NULL`,
  );
  await client.query('SET LOCAL parallel_tuple_cost TO DEFAULT');
  const { rowCount } = await client.query(
    `CREATE UNLOGGED TABLE ${PASSED_OVER} AS
     SELECT source_order FROM (
       SELECT s.source_order, row_number() OVER (PARTITION BY s.id ORDER BY ${winnerFirst(scope.onConflict)}) AS place
         FROM ${EDGES} s
     ) placed WHERE place > 1`,
  );
  // Without statistics the planner thinks of a nested loop.
  await client.query(`ANALYZE ${PASSED_OVER}`);
  return rowCount ?? 0;
}

/** Windows with pages in staging, each as a row of literals: its number, and its bounds as far as nobody else's rows reach. */
async function readBounds(client: PoolClient, scope: MergeScope): Promise<string[]> {
  const { rows } = await client.query<{ windowId: number; sinceMs: number | null; untilMs: number | null }>(
    `SELECT window_id AS "windowId", since_ms AS "sinceMs", until_ms AS "untilMs" FROM ingestion.state w
      WHERE run_id = ${scope.runId}
        AND EXISTS (SELECT FROM ${scope.names.ledger} l WHERE l.run_id = w.run_id AND l.window_id = w.window_id)`,
  );
  const bound = (ms: number | null, offsetMs: number): string =>
    ms === null || Math.abs(ms) >= WIDEST_BOUND_MS
      ? 'NULL::timestamptz'
      : `to_timestamp(${(ms + offsetMs) / 1000}::float8)`;
  return rows.map(
    ({ windowId, sinceMs, untilMs }) => `(${windowId}, ${bound(sinceMs, EDGE_MS)}, ${bound(untilMs, -EDGE_MS)})`,
  );
}

/** The key could not be built: finds every double id, and leaves its best row. */
async function removeDoubles(client: PoolClient, scope: MergeScope, insertedWithDoubles: number): Promise<number> {
  const doubled = await findDoubled(client, scope);
  if (doubled > insertedWithDoubles * MANY_DOUBLES) {
    // The table of doubles must outlive the rollback: made again, it is small beside sorting all rows.
    await client.query('ROLLBACK TO SAVEPOINT rows');
    const inserted = await insertDistinct(client, scope, '');
    await findDoubled(client, scope);
    return inserted;
  }
  await client.query(`ANALYZE ${DOUBLED}`);
  const isDoubled = (alias: string): string => `${alias}.id IN (SELECT d.id FROM ${DOUBLED} d)`;
  const deleted = await client.query(`DELETE FROM ${TARGET} t WHERE ${isDoubled('t')}`);
  const again = await insertDistinct(client, scope, `WHERE ${isDoubled('s')}`);
  return insertedWithDoubles - (deleted.rowCount ?? 0) + again;
}

/** @returns how many rows share their id with another */
async function findDoubled(client: PoolClient, scope: MergeScope): Promise<number> {
  const { rows } = scope.names;
  const { rowCount } = await client.query(
    `CREATE UNLOGGED TABLE ${DOUBLED} AS SELECT s.id, s.source_order FROM ${rows} s
      WHERE s.id IN (SELECT d.id FROM ${rows} d GROUP BY d.id HAVING count(*) > 1)`,
  );
  return rowCount ?? 0;
}
