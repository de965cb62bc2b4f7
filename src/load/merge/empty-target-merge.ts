/**
 * Rows into an empty target, not through its index: the key is dropped, the rows are moved as they come, double ids
 * are removed, the key is built again with all its parallelism. Nobody sees the table without its key, because all of
 * it is one transaction that holds the table exclusively. Twice to three times as fast as through the index; the
 * figures are in bench/README.md. The last pages of the load may still come while the first ones are moved.
 *
 * Double ids: windows overlap at their edges, by the pages that were on their way when a window was split. Rows of such
 * times are moved apart, the best of each id. Whatever is double besides makes building the key fail; only then are all
 * ids sorted to find out.
 */
import type { PoolClient } from 'pg';
import { sqlStateOf } from '../postgres/database-errors.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import { STAGED_COLUMNS, TARGET_COLUMNS, winnerFirst } from './merge-sql.ts';
import type { MergeScope } from './merge-sql.ts';
import { TARGET } from '../schema/ingested-events.ts';
import type { StagingNames } from '../schema/staging.ts';

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

export type EmptyTargetMergeScope = Pick<MergeScope, 'onConflict' | 'runId'>;

export interface EmptyTargetMerged {
  readonly inserted: number;
  /** Staged rows that were passed over for a better one of their id; `null` when they were not counted. */
  readonly passedOver: number | null;
  /**
   * A relation (id, source_order) with every staged row of every id that was staged more than once, or `null` when there
   * were none. The merge drops it.
   */
  readonly doubles: string | null;
}

/** One for each staging table: only a table that is made by its query is filled by all cores. */
const EDGES = ['ingestion.merge_edge_1', 'ingestion.merge_edge_2'] as const;
const DOUBLED = 'ingestion.merge_doubled';

/** What a row of staging is moved with: its columns, and where it was served. */
const MOVED_COLUMNS = `${STAGED_COLUMNS}, s.source_order`;

/**
 * One load of an empty target: {@link begin}, {@link add} for each staging table, {@link complete}. The second table may
 * still be filled while the first is added.
 */
export class EmptyTargetMerge {
  readonly #client: PoolClient;
  readonly #scope: EmptyTargetMergeScope;
  readonly #addKey: string;
  readonly #tables: StagingNames[] = [];
  readonly #edges: string[] = [];
  #inserted = 0;
  #atEdges = 0;

  private constructor(client: PoolClient, scope: EmptyTargetMergeScope, keyName: string) {
    this.#client = client;
    this.#scope = scope;
    this.#addKey = `ALTER TABLE ${TARGET} ADD CONSTRAINT ${quoteIdentifier(keyName)} PRIMARY KEY (id)`;
  }

  /**
   * @returns `null` when the ordinary way must be taken: the target has rows, somebody is using it, or its key cannot be
   *   dropped (a foreign key or a view needs it, or it is not as the job made it). Nothing has changed then.
   */
  static async begin(client: PoolClient, scope: EmptyTargetMergeScope): Promise<EmptyTargetMerge | null> {
    if (!(await isTargetEmpty(client))) return null;
    await client.query('SAVEPOINT first_load');
    const keyName = await dropKey(client);
    if (keyName === null) {
      await client.query('ROLLBACK TO SAVEPOINT first_load; RELEASE SAVEPOINT first_load');
      return null;
    }
    await client.query(`SET LOCAL maintenance_work_mem = '${KEY_BUILD_MEMORY}'`);
    return new EmptyTargetMerge(client, scope, keyName);
  }

  /**
   * Moves the rows of a table, but those where windows overlap: they wait for {@link complete}.
   * @param isLast whether no table follows. Where one does, edges are taken wider: an edge that is known only when that table
   *   comes is too late for the rows moved now, and an id that is double for it makes building the key fail.
   * @throws what the server says of the rows; roll back to before.
   */
  async add(table: StagingNames, isLast: boolean): Promise<void> {
    const client = this.#client;
    this.#tables.push(table);
    const limits = await readEdges(client, this.#scope.runId, this.#ledgers, isLast);
    if (limits.length === 0) {
      this.#inserted += await insertFrom(client, `SELECT ${STAGED_COLUMNS} FROM ${table.rows} s`);
      return;
    }
    // Limits in turn begin and end an edge, and `width_bucket` says how many of them a time has behind it.
    const thresholds = limits.map((ms) => `to_timestamp(${ms / 1000}::float8)`).join(', ');
    const isAtEdge = `coalesce(width_bucket(s.occurred_at, ARRAY[${thresholds}]) % 2 = 1, true)`;
    this.#atEdges += await this.#setApart(`SELECT ${MOVED_COLUMNS} FROM ${table.rows} s WHERE ${isAtEdge}`);
    this.#inserted += await insertFrom(client, `SELECT ${STAGED_COLUMNS} FROM ${table.rows} s WHERE NOT ${isAtEdge}`);
  }

  /** @throws what the server says of the rows; roll back to before. */
  async complete(): Promise<EmptyTargetMerged> {
    const client = this.#client;
    const edges = `(${this.#edges.map((name) => `SELECT * FROM ${name}`).join(' UNION ALL ')})`;
    const fromEdges = this.#atEdges === 0 ? 0 : await this.#insertDistinct(`${edges} s`);
    this.#inserted += fromEdges;
    const passedOver = this.#atEdges - fromEdges;
    await client.query('SAVEPOINT key');
    try {
      await client.query(this.#addKey);
      return { inserted: this.#inserted, passedOver, doubles: passedOver === 0 ? null : edges };
    } catch (error) {
      if (sqlStateOf(error) !== '23505') throw error;
      await client.query('ROLLBACK TO SAVEPOINT key');
      const inserted = await this.#removeDoubles();
      await client.query(this.#addKey);
      return { inserted, passedOver: null, doubles: DOUBLED };
    }
  }

  /** All rows of the tables so far, as a relation. */
  get #rows(): string {
    return `(${this.#tables.map(({ rows }) => `SELECT ${MOVED_COLUMNS} FROM ${rows} s`).join(' UNION ALL ')})`;
  }

  get #ledgers(): string {
    const pages = (ledger: string): string => `SELECT run_id, window_id, page, oldest_ms, ends_window FROM ${ledger}`;
    return `(${this.#tables.map(({ ledger }) => pages(ledger)).join(' UNION ALL ')})`;
  }

  /** @returns how many rows */
  async #setApart(source: string): Promise<number> {
    const client = this.#client;
    const name = EDGES[this.#edges.length];
    if (name === undefined) throw new Error('a first load takes no third staging table');
    this.#edges.push(name);
    // The planner believes that half of all rows come back, and would not look in parallel.
    await client.query('SET LOCAL parallel_tuple_cost = 0');
    const { rowCount } = await client.query(`CREATE UNLOGGED TABLE ${name} AS ${source}`);
    await client.query('SET LOCAL parallel_tuple_cost TO DEFAULT');
    return rowCount ?? 0;
  }

  /** @param rows a relation as `s`, with a condition if need be */
  #insertDistinct(rows: string): Promise<number> {
    const order = `s.id, ${winnerFirst(this.#scope.onConflict)}`;
    return insertFrom(this.#client, `SELECT DISTINCT ON (s.id) ${STAGED_COLUMNS} FROM ${rows} ORDER BY ${order}`);
  }

  /** The key could not be built: finds every double id, and leaves its best row. @returns rows in the target */
  async #removeDoubles(): Promise<number> {
    const client = this.#client;
    const doubled = await this.#findDoubled();
    if (doubled > this.#inserted * MANY_DOUBLES) {
      // Not by a savepoint: rolling back to before the second table was added would give up the lock on it.
      await client.query(`TRUNCATE ${TARGET}`);
      return this.#insertDistinct(`${this.#rows} s`);
    }
    await client.query(`ANALYZE ${DOUBLED}`);
    const isDoubled = (alias: string): string => `${alias}.id IN (SELECT d.id FROM ${DOUBLED} d)`;
    const deleted = await client.query(`DELETE FROM ${TARGET} t WHERE ${isDoubled('t')}`);
    const again = await this.#insertDistinct(`${this.#rows} s WHERE ${isDoubled('s')}`);
    return this.#inserted - (deleted.rowCount ?? 0) + again;
  }

  /** @returns how many rows share their id with another */
  async #findDoubled(): Promise<number> {
    const { rowCount } = await this.#client.query(
      `CREATE UNLOGGED TABLE ${DOUBLED} AS SELECT s.id, s.source_order FROM ${this.#rows} s
        WHERE s.id IN (SELECT d.id FROM ${this.#rows} d GROUP BY d.id HAVING count(*) > 1)`,
    );
    return rowCount ?? 0;
  }
}

/** Relations that {@link EmptyTargetMerge} may have made. */
export const EMPTY_TARGET_MERGE_RELATIONS = [...EDGES, DOUBLED] as const;

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

/**
 * Where windows overlap, when there are several: around each bound, and below a lower one as far as pages reach that were
 * on their way when it came. Unless all is there, two pages of a walk that
 * is near its end may still be on theirs.
 * @returns first and last time of each edge in turn, epoch ms, ascending
 */
async function readEdges(client: PoolClient, runId: number, ledgers: string, isAll: boolean): Promise<number[]> {
  const { rows } = await client.query<WalkedWindow>(
    `SELECT w.since_ms AS "sinceMs", w.until_ms AS "untilMs", bool_or(l.ends_window) AS ended,
            min(l.oldest_ms) FILTER (WHERE l.last_page - l.page < ${PAGES_AT_EDGE}) AS "lowestMs",
            max(l.above_ms - l.oldest_ms) FILTER (WHERE l.last_page - l.page < ${PAGES_AT_EDGE}) AS "pageMs"
       FROM ingestion.state w
       JOIN (SELECT *, max(page) OVER (PARTITION BY run_id, window_id) AS last_page,
                    lag(oldest_ms) OVER (PARTITION BY run_id, window_id ORDER BY page) AS above_ms
               FROM ${ledgers} pages) l
         USING (run_id, window_id)
      WHERE run_id = ${runId} GROUP BY run_id, window_id, w.since_ms, w.until_ms`,
  );
  if (rows.length < 2) return [];
  const edges: [number, number][] = [];
  for (const window of rows) {
    const { sinceMs, untilMs } = window;
    if (sinceMs !== null) edges.push([lowestReach(window, sinceMs, isAll) - EDGE_MS, sinceMs + EDGE_MS]);
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

interface WalkedWindow {
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
  readonly ended: boolean;
  /** Of its last pages the oldest time, and how much time the widest of them takes. */
  readonly lowestMs: number | null;
  readonly pageMs: number | null;
}

function lowestReach({ ended, lowestMs, pageMs }: WalkedWindow, sinceMs: number, isAll: boolean): number {
  const isOnItsWay =
    !isAll && !ended && lowestMs !== null && pageMs !== null && lowestMs - sinceMs < PAGES_AT_EDGE * pageMs;
  return Math.min(sinceMs - (isOnItsWay ? 2 * pageMs : 0), lowestMs ?? sinceMs);
}
