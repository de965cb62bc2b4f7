/**
 * Rows into an empty target, not through its index: the key is dropped, the rows are moved as they come, double ids
 * are removed, the key is built again with all its parallelism. Nobody sees the table without its key, because all of
 * it is one transaction that holds the table exclusively. Twice to three times as fast as through the index; the
 * figures are in bench/README.md.
 *
 * Double ids: windows overlap at their edges, by the pages that were on their way when a window was split. Rows of such
 * times are moved apart, the best of each id. Whatever is double besides makes building the key fail; only then are all
 * ids sorted to find out.
 */
import type { PoolClient } from 'pg';
import { sqlStateOf } from './database-errors.ts';
import { quoteIdentifier } from './identifiers.ts';
import { STAGED_COLUMNS, TARGET_COLUMNS, winnerFirst } from './merge-sql.ts';
import type { MergeScope } from './merge-sql.ts';
import { TARGET } from './schema/ingested-events.ts';

/** How long readers of an empty table may keep the merge from the quick way. */
const TARGET_LOCK_TIMEOUT_MS = 3_000;
/** Above this part of rows with a double id, sorting whole rows once is cheaper than moving them twice. */
const MANY_DOUBLES = 0.05;
/** Bounds are sent widened by a millisecond, and are inclusive or not. */
const EDGE_MS = 2;
/**
 * Of a window, those that can lie below its lower bound: on their way when the bound came, and asked for ahead. Earlier ones are
 * not looked at, because one event with a wrong clock would make an edge of half the rows.
 */
const PAGES_AT_EDGE = 4;
/** What `to_timestamp` takes, epoch ms. */
const EARLIEST_MS = -2.1e14;
const LATEST_MS = 9.2e15;
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
  const { inserted, passedOver } = await insertBestAtEdges(client, scope);
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
export const FIRST_LOAD_RELATIONS = [EDGES, DOUBLED] as const;

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

async function insertFrom(client: PoolClient, source: string): Promise<number> {
  const { rowCount } = await client.query(`INSERT INTO ${TARGET} (${TARGET_COLUMNS}) ${source}`);
  return rowCount ?? 0;
}

/** @param rows a relation as `s`, with a condition if need be */
function insertDistinct(client: PoolClient, scope: MergeScope, rows: string): Promise<number> {
  const order = `s.id, ${winnerFirst(scope.onConflict)}`;
  return insertFrom(client, `SELECT DISTINCT ON (s.id) ${STAGED_COLUMNS} FROM ${rows} ORDER BY ${order}`);
}

/** All rows; of those whose time lies where windows overlap, the best of each id. */
async function insertBestAtEdges(
  client: PoolClient,
  scope: MergeScope,
): Promise<{ inserted: number; passedOver: number }> {
  const { rows } = scope.names;
  const limits = await readEdges(client, scope);
  if (limits.length === 0) {
    return { inserted: await insertFrom(client, `SELECT ${STAGED_COLUMNS} FROM ${rows} s`), passedOver: 0 };
  }
  // Limits in turn begin and end an edge, and `width_bucket` says how many of them a time has behind it.
  const thresholds = limits.map((ms) => `to_timestamp(${ms / 1000}::float8)`).join(', ');
  const isAtEdge = `coalesce(width_bucket(s.occurred_at, ARRAY[${thresholds}]) % 2 = 1, true)`;
  // The planner believes that half of all rows come back, and would not look in parallel.
  await client.query('SET LOCAL parallel_tuple_cost = 0');
  const found = await client.query(`CREATE UNLOGGED TABLE ${EDGES} AS SELECT s.* FROM ${rows} s WHERE ${isAtEdge}`);
  await client.query('SET LOCAL parallel_tuple_cost TO DEFAULT');
  const elsewhere = await insertFrom(client, `SELECT ${STAGED_COLUMNS} FROM ${rows} s WHERE NOT ${isAtEdge}`);
  const atEdges = await insertDistinct(client, scope, `${EDGES} s`);
  return { inserted: elsewhere + atEdges, passedOver: (found.rowCount ?? 0) - atEdges };
}

/**
 * Where windows overlap, when there are several: around each bound, and below a lower one as far as pages reached that were
 * on their way when it came.
 * @returns first and last time of each edge in turn, epoch ms, ascending
 */
async function readEdges(client: PoolClient, scope: MergeScope): Promise<number[]> {
  const { rows } = await client.query<{ sinceMs: number | null; untilMs: number | null; lowestMs: number | null }>(
    `SELECT w.since_ms AS "sinceMs", w.until_ms AS "untilMs",
            min(l.oldest_ms) FILTER (WHERE l.last_page - l.page < ${PAGES_AT_EDGE}) AS "lowestMs"
       FROM ingestion.state w
       JOIN (SELECT *, max(page) OVER (PARTITION BY run_id, window_id) AS last_page FROM ${scope.names.ledger}) l
         USING (run_id, window_id)
      WHERE run_id = ${scope.runId} GROUP BY run_id, window_id, w.since_ms, w.until_ms`,
  );
  if (rows.length < 2) return [];
  const edges: [number, number][] = [];
  for (const { sinceMs, untilMs, lowestMs } of rows) {
    if (sinceMs !== null) edges.push([Math.min(sinceMs, lowestMs ?? sinceMs) - EDGE_MS, sinceMs + EDGE_MS]);
    if (untilMs !== null) edges.push([untilMs - EDGE_MS, untilMs + EDGE_MS]);
  }
  const apart: [number, number][] = [];
  for (const [from, to] of edges.sort(([one], [other]) => one - other)) {
    const last = apart.at(-1);
    if (last !== undefined && from <= last[1]) last[1] = Math.max(last[1], to);
    else apart.push([from, to]);
  }
  return apart.flat().map((ms) => Math.min(Math.max(ms, EARLIEST_MS), LATEST_MS));
}

/** The key could not be built: finds every double id, and leaves its best row. */
async function removeDoubles(client: PoolClient, scope: MergeScope, insertedWithDoubles: number): Promise<number> {
  const doubled = await findDoubled(client, scope);
  if (doubled > insertedWithDoubles * MANY_DOUBLES) {
    // The table of doubles must outlive the rollback: made again, it is small beside sorting all rows.
    await client.query('ROLLBACK TO SAVEPOINT rows');
    const inserted = await insertDistinct(client, scope, `${scope.names.rows} s`);
    await findDoubled(client, scope);
    return inserted;
  }
  await client.query(`ANALYZE ${DOUBLED}`);
  const isDoubled = (alias: string): string => `${alias}.id IN (SELECT d.id FROM ${DOUBLED} d)`;
  const deleted = await client.query(`DELETE FROM ${TARGET} t WHERE ${isDoubled('t')}`);
  const again = await insertDistinct(client, scope, `${scope.names.rows} s WHERE ${isDoubled('s')}`);
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
