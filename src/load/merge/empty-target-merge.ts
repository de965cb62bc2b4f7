/**
 * Moves rows into an empty table without going through its index: drops the key, moves the rows in any order, removes
 * double ids, and builds the key again, in parallel. The table is one that nobody sees yet (table-beside.ts), or the target:
 * nobody sees that without its key, because all of it is one transaction that locks it exclusively. Two to three times as fast
 * as through the index; the figures are in bench/README.md. The late pages may still arrive while the first pages are moved.
 *
 * Double ids: windows overlap at their edges, by the pages that were under way when a window was split. Rows with times at
 * an edge are set apart, and only the best of each id is moved. Any other double id makes building the key fail; only then
 * are all ids sorted to find the double ones.
 */
import type { PoolClient } from 'pg';
import { sqlStateOf } from '../postgres/database-errors.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import { hasNoPage } from '../schema/ingested-events.ts';
import { ownRelation, type Target } from '../schema/source.ts';
import type { StagingNames } from '../schema/staging.ts';
import { truncateOwnTarget } from '../state/target-rows.ts';
import { stagedColumns, targetColumns, winnerFirst, type MergeScope } from './merge-sql.ts';
import { readEdges } from './window-edges.ts';

/** Above this share of rows with a double id, sorting all rows once is cheaper than moving the double ones twice. */
const MANY_DOUBLES = 0.05;
/**
 * How long whoever is changing the target, without its lock, is waited for while nobody else gets at it: an option of its key, or a grant,
 * that is not committed. Shorter than a session waits before it looks for a deadlock, and ends.
 */
const CHANGES_PATIENCE_MS = 500;
/** At least, kB. */
const KEY_BUILD_MEMORY = 256 * 1024;

type EmptyTargetMergeScope = Pick<MergeScope, 'source' | 'onConflict' | 'runId'>;

export interface EmptyTargetMerged {
  readonly inserted: number;
  /** Staged rows that lost against a better row of their id; `null` when they were not counted. */
  readonly passedOver: number | null;
}

/** One for each staging table, because all cores fill a table only when its query creates it. */
const EDGES = ['merge_edge_a', 'merge_edge_b'] as const;
const DOUBLED = 'merge_doubled';

/** The columns of a row that is set apart: those of the target, and where it was served. */
const movedColumns = (target: Target): string => `${stagedColumns(target)}, s.source_order`;

/**
 * {@link begin}, then {@link add} for each staging table, then {@link complete}. Pages may still be copied into the second
 * table while the first is added.
 */
export class EmptyTargetMerge {
  readonly #client: PoolClient;
  readonly #scope: EmptyTargetMergeScope;
  readonly #target: Target;
  readonly #addKey: string;
  /** Nobody has had a row there: a transaction that began before one was deleted still sees it. */
  readonly #isUnused: boolean;
  readonly #tables: StagingNames[] = [];
  readonly #edges: string[] = [];
  readonly #made: string[] = [];
  #inserted = 0;
  #atEdges = 0;

  private constructor(client: PoolClient, scope: EmptyTargetMergeScope, keyName: string, isUnused: boolean) {
    this.#client = client;
    this.#isUnused = isUnused;
    this.#scope = scope;
    this.#target = scope.source.target;
    this.#addKey = shortly(
      `ALTER TABLE ${this.#target.sql} ADD CONSTRAINT ${quoteIdentifier(keyName)} PRIMARY KEY (id)`,
    );
  }

  /**
   * Drops the key of the target, which is empty, and which the caller's transaction has for itself: see {@link lockTargetAlone}.
   * @returns `null` when the rows must go through the index: its key cannot be dropped (a foreign key or a view needs it, or it is not
   *   as the job made it). Roll back then, and when anything fails later.
   */
  static async begin(client: PoolClient, scope: EmptyTargetMergeScope): Promise<EmptyTargetMerge | null> {
    const { target } = scope.source;
    const { rows } = await client.query<{ name: string }>(plainKeySql(target));
    const [key] = rows;
    if (key === undefined) return null;
    await client.query(shortly(`ALTER TABLE ${target.sql} DROP CONSTRAINT ${quoteIdentifier(key.name)}`));
    // The key comes back to where it was, the database's own tablespace, whatever the role's default is.
    await client.query(
      `SELECT set_config('default_tablespace', '', true),
              set_config(name, greatest(setting::int, ${KEY_BUILD_MEMORY})::text, true) FROM pg_settings WHERE name = 'maintenance_work_mem'`,
    );
    return new EmptyTargetMerge(client, scope, key.name, await hasNoPage(client, target));
  }

  /**
   * Moves the rows of a table, except those where windows overlap: they wait for {@link complete}.
   * @param isLast false when another table follows. Edges are then taken wider, because an edge that only the other table
   *   shows comes too late for the rows moved now; an id that is double for this reason makes building the key fail.
   * @throws the server's error about a row; roll back to before {@link begin} then.
   */
  async add(table: StagingNames, isLast: boolean): Promise<void> {
    const client = this.#client;
    this.#tables.push(table);
    const { time, isOldestFirst = false } = this.#target.plan;
    const run = { runId: this.#scope.runId, isOldestFirst };
    const limits = time === null ? [] : await readEdges(client, run, this.#ledgers, isLast);
    if (time === null || limits.length === 0) {
      this.#inserted += await this.#insertFrom(`SELECT ${stagedColumns(this.#target)} FROM ${table.rows} s`);
      return;
    }
    // Limits begin and end an edge in turn. `width_bucket` counts the limits below a time: an odd count is inside an edge.
    const thresholds = limits.map((ms) => `to_timestamp(${ms / 1000}::float8)`).join(', ');
    const isAtEdge = `coalesce(width_bucket(s.${quoteIdentifier(time)}, ARRAY[${thresholds}]) % 2 = 1, true)`;
    this.#atEdges += await this.#setApart(
      `SELECT ${movedColumns(this.#target)} FROM ${table.rows} s WHERE ${isAtEdge}`,
    );
    this.#inserted += await this.#insertFrom(
      `SELECT ${stagedColumns(this.#target)} FROM ${table.rows} s WHERE NOT ${isAtEdge}`,
    );
  }

  /** @throws the server's error about a row; roll back to before {@link begin} then. */
  async complete(): Promise<EmptyTargetMerged> {
    const merged = await this.#buildKey();
    for (const relation of this.#made) await this.#client.query(`DROP TABLE ${relation}`);
    return merged;
  }

  async #buildKey(): Promise<EmptyTargetMerged> {
    const client = this.#client;
    const edges = `(${this.#edges.map((name) => `SELECT * FROM ${name}`).join(' UNION ALL ')})`;
    const fromEdges = this.#atEdges === 0 ? 0 : await this.#insertDistinct(`${edges} s`);
    this.#inserted += fromEdges;
    const passedOver = this.#atEdges - fromEdges;
    await client.query('SAVEPOINT key');
    try {
      await client.query(this.#addKey);
      return { inserted: this.#inserted, passedOver };
    } catch (error) {
      if (sqlStateOf(error) !== '23505') throw error;
      await client.query('ROLLBACK TO SAVEPOINT key');
      const inserted = await this.#removeDoubles();
      await client.query(this.#addKey);
      return { inserted, passedOver: null };
    }
  }

  /** All rows of the tables so far, as a relation. */
  get #rows(): string {
    return `(${this.#tables.map(({ rows }) => `SELECT ${movedColumns(this.#target)} FROM ${rows} s`).join(' UNION ALL ')})`;
  }

  get #ledgers(): string {
    const pages = (ledger: string): string => `SELECT run_id, window_id, page, oldest_ms, ends_window FROM ${ledger}`;
    return `(${this.#tables.map(({ ledger }) => pages(ledger)).join(' UNION ALL ')})`;
  }

  /** @returns how many rows */
  async #setApart(source: string): Promise<number> {
    const client = this.#client;
    const edge = EDGES[this.#edges.length];
    if (edge === undefined) throw new Error('a merge into an empty target takes no third staging table');
    const name = ownRelation(this.#scope.source, edge);
    this.#edges.push(name);
    // The planner expects half of all rows, and would therefore not scan in parallel.
    await client.query('SET LOCAL parallel_tuple_cost = 0');
    const rows = await this.#make(name, source);
    await client.query('SET LOCAL parallel_tuple_cost TO DEFAULT');
    return rows;
  }

  /** A table for this merge alone. @returns how many rows it has */
  async #make(name: string, source: string): Promise<number> {
    this.#made.push(name);
    const { rowCount } = await this.#client.query(`CREATE UNLOGGED TABLE ${name} AS ${source}`);
    return rowCount ?? 0;
  }

  /** @returns how many rows */
  async #insertFrom(query: string): Promise<number> {
    const { rowCount } = await this.#client.query(
      `INSERT INTO ${this.#target.sql} (${targetColumns(this.#target)}) ${query}`,
    );
    return rowCount ?? 0;
  }

  /** @param rows a relation as `s`, with a condition if need be */
  #insertDistinct(rows: string): Promise<number> {
    const order = `s.id, ${winnerFirst(this.#target, this.#scope.onConflict)}`;
    return this.#insertFrom(`SELECT DISTINCT ON (s.id) ${stagedColumns(this.#target)} FROM ${rows} ORDER BY ${order}`);
  }

  /** After the key could not be built: leaves only the best row of each id. @returns how many rows the target has */
  async #removeDoubles(): Promise<number> {
    const client = this.#client;
    const target = this.#target.sql;
    const name = ownRelation(this.#scope.source, DOUBLED);
    const doubled = await this.#findDoubled(name);
    if (this.#isUnused && doubled > this.#inserted * MANY_DOUBLES) {
      // A rollback to before the second table was added would give up the lock on that table.
      await truncateOwnTarget(client, this.#scope.source);
      return this.#insertDistinct(`${this.#rows} s`);
    }
    await client.query(`ANALYZE ${name}`);
    const isDoubled = (alias: string): string => `${alias}.id IN (SELECT d.id FROM ${name} d)`;
    const deleted = await client.query(`DELETE FROM ${target} t WHERE ${isDoubled('t')}`);
    const again = await this.#insertDistinct(`${this.#rows} s WHERE ${isDoubled('s')}`);
    return this.#inserted - (deleted.rowCount ?? 0) + again;
  }

  /** @returns how many rows share their id with another */
  #findDoubled(name: string): Promise<number> {
    return this.#make(
      name,
      `SELECT s.id FROM ${this.#rows} s WHERE s.id IN (SELECT d.id FROM ${this.#rows} d GROUP BY d.id HAVING count(*) > 1)`,
    );
  }
}

const shortly = (sql: string): string =>
  `SET LOCAL lock_timeout = ${CHANGES_PATIENCE_MS}; ${sql}; SET LOCAL lock_timeout = 0`;

/** A primary key on (id) without any property that building it again would lose. */
const plainKeySql = ({ oid }: Target): string => `
  SELECT c.conname AS name
    FROM pg_constraint c
    JOIN pg_index i ON i.indexrelid = c.conindid
    JOIN pg_class x ON x.oid = i.indexrelid
    JOIN pg_class r ON r.oid = c.conrelid
   WHERE c.conrelid = ${oid} AND c.contype = 'p' AND NOT c.condeferrable
     AND pg_get_constraintdef(c.oid) = 'PRIMARY KEY (id)'
     AND r.relkind = 'r' AND r.relreplident <> 'i' AND NOT i.indisclustered
     AND x.reltablespace = 0 AND x.reloptions IS NULL
     AND NOT EXISTS (SELECT FROM pg_depend WHERE (classid, objid, deptype) = ('pg_class'::regclass, x.oid, 'x'))
     AND obj_description(c.oid, 'pg_constraint') IS NULL AND obj_description(x.oid, 'pg_class') IS NULL`;
