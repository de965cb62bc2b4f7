/**
 * Two unlogged staging tables in turn, `a` and `b`: rows, the ledger of the pages they came from, staged anomalies.
 * Rows, ledger, anomalies and the one-row epoch are all unlogged, so that a crash of PostgreSQL empties them together.
 *
 * Everything in `load` takes its locks in this order, so the job cannot deadlock with itself:
 *
 *   staging rows → ledger → staged anomalies → ingestion.owner → staging_epoch → target → state → anomaly → run
 *
 * A COPY takes them as it goes: its rows first, and `owner` FOR SHARE with its ledger row at the end. A merge takes the
 * first three before it looks at `owner`, ACCESS EXCLUSIVE or, beside readers that stay, EXCLUSIVE. A start raises `owner.generation` in a transaction that holds
 * nothing else. Of two tables, `a` comes before `b`. Rows go into the target in the order of their ids.
 *
 * Of what several sources share, each locks rows of its own alone: jobs of two sources never wait for each other.
 *
 * There is one exception: a merge into an empty target locks a second staging table, that of the late pages, when it
 * already holds the target. By then no page is in its COPY there, and the COPY of an orphan waits for nothing that
 * the merge holds, because both share `owner`. A dump that locks every table may have the target and wait for staging: the
 * merge then does without having the target alone.
 */
import type { PoolClient } from 'pg';
import { copyColumns } from '../../encode/rows/event-columns.ts';
import { LOCK_NOT_AVAILABLE, sqlStateOf } from '../postgres/database-errors.ts';
import { columnList } from '../postgres/identifiers.ts';
import { oneRow } from '../postgres/one-row.ts';
import { ownRelation, type Source } from './source.ts';

export type StagingTable = 'a' | 'b';

export const STAGING_TABLES: readonly StagingTable[] = ['a', 'b'];

/** Names of one staging table's relations, with their schema, as SQL takes them. */
export interface StagingNames {
  readonly rows: string;
  readonly ledger: string;
  readonly anomalies: string;
}

/** See {@link StagingNames}. */
export function stagingNames(source: Source, table: StagingTable): StagingNames {
  return {
    rows: ownRelation(source, `staging_${table}`),
    ledger: ownRelation(source, `staging_ledger_${table}`),
    anomalies: ownRelation(source, `staging_anomaly_${table}`),
  };
}

/** In a transaction: locks a staging table for changing or emptying it, in the order given above. */
export async function lockStaging(client: PoolClient, source: Source, table: StagingTable): Promise<void> {
  await client.query(`LOCK TABLE ${relationsOf(source, table).join(', ')} IN ACCESS EXCLUSIVE MODE`);
}

/** How long a merge waits for readers of staging, ms. After that it lets them be. */
const READERS_PATIENCE_MS = 3_000;

/**
 * The same for a merge, which needs only that nobody writes.
 * @returns whether the table can be truncated; where somebody reads it all the time, as a dump does, its rows are to be deleted
 */
export async function lockStagingForMerge(client: PoolClient, source: Source, table: StagingTable): Promise<boolean> {
  await client.query(`SAVEPOINT readers; SET LOCAL lock_timeout = ${READERS_PATIENCE_MS}`);
  try {
    await lockStaging(client, source, table);
    await client.query('SET LOCAL lock_timeout = 0; RELEASE SAVEPOINT readers');
    return true;
  } catch (error) {
    if (sqlStateOf(error) !== LOCK_NOT_AVAILABLE) throw error;
    await client.query('ROLLBACK TO SAVEPOINT readers; RELEASE SAVEPOINT readers');
    await client.query(`LOCK TABLE ${relationsOf(source, table).join(', ')} IN EXCLUSIVE MODE`);
    return false;
  }
}

/** In a transaction that holds its lock: empties a staging table. */
export async function emptyStaging(
  client: PoolClient,
  source: Source,
  table: StagingTable,
  canTruncate = true,
): Promise<void> {
  const relations = relationsOf(source, table);
  if (canTruncate) await client.query(`TRUNCATE ${relations.join(', ')}`);
  else await client.query(relations.map((relation) => `DELETE FROM ${relation}`).join('; '));
}

/** How many pages have been copied into the staging tables and not merged. */
export async function stagedPages(client: PoolClient, source: Source): Promise<number> {
  const counts = STAGING_TABLES.map((table) => `(SELECT count(*) FROM ${stagingNames(source, table).ledger})`);
  const { pages } = await oneRow<{ pages: number }>(client, `SELECT (${counts.join(' + ')})::int AS pages`);
  return pages;
}

/** The relations of one staging table in the order of their locks. */
export function relationsOf(source: Source, table: StagingTable): readonly string[] {
  const { rows, ledger, anomalies } = stagingNames(source, table);
  return [rows, ledger, anomalies];
}

/** The COPY statement, with the columns in the order of the encoder's rows. */
export function copySql(source: Source, table: StagingTable): string {
  const { rows } = stagingNames(source, table);
  const columns = copyColumns(source.target.plan).map((column) => column.name);
  return `COPY ${rows} (${columnList(columns)}) FROM STDIN (FORMAT binary)`;
}

/** Makes the ledger of a staging table and its staged anomalies. */
export function ledgerSql(names: StagingNames): string {
  return `
CREATE UNLOGGED TABLE IF NOT EXISTS ${names.ledger} (
  run_id bigint NOT NULL,
  window_id integer NOT NULL,
  page integer NOT NULL,
  generation bigint NOT NULL,
  next_cursor text,
  cursor_from text,
  cursor_limit integer,
  cursor_received_at_ms double precision,
  anchor_ms double precision,
  last_event_ms double precision,
  oldest_ms double precision,
  ends_window boolean NOT NULL,
  doubtful boolean NOT NULL DEFAULT false,
  suspect boolean NOT NULL,
  continued boolean NOT NULL DEFAULT false,
  served integer NOT NULL,
  loaded integer NOT NULL,
  rejected integer NOT NULL,
  repaired integer NOT NULL,
  page_end_ms double precision,
  edge_ms double precision,
  edge_keys text[],
  places integer NOT NULL DEFAULT 0,
  top_places integer NOT NULL DEFAULT 0,
  recent_places integer NOT NULL DEFAULT 0,
  unsure integer NOT NULL DEFAULT 0,
  repeated integer NOT NULL DEFAULT 0,
  PRIMARY KEY (run_id, window_id, page)
);
CREATE UNLOGGED TABLE IF NOT EXISTS ${names.anomalies} (
  run_id bigint NOT NULL,
  window_id integer NOT NULL,
  page integer NOT NULL,
  position integer NOT NULL,
  event_id text,
  kind text NOT NULL,
  field text NOT NULL,
  reason text NOT NULL,
  original bytea NOT NULL
)`;
}
