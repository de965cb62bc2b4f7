/**
 * Two unlogged staging tables in turn, `a` and `b`: rows, the ledger of the pages they came from, staged anomalies.
 * Rows, ledger, anomalies and the one-row epoch are all unlogged, so that a crash of PostgreSQL empties them together.
 *
 * Everything in `load` takes its locks in this order, so the job cannot deadlock with itself:
 *
 *   staging rows → ledger → staged anomalies → ingestion.owner → staging_epoch → ingested_events → state → anomaly → run
 *
 * A COPY takes them as it goes: its rows first, and `owner` FOR SHARE with its ledger row at the end. A merge takes the
 * first three ACCESS EXCLUSIVE before it looks at `owner`. A start raises `owner.generation` in a transaction that holds
 * nothing else. Of two tables, `a` comes before `b`. Rows go into `ingested_events` in the order of their ids.
 *
 * There is one exception: a merge into an empty target locks a second staging table, that of the late pages, when it
 * already holds `ingested_events`. By then no page is in its COPY there, and the COPY of an orphan waits for nothing that
 * the merge holds, because both share `owner`. A dump that locks every table can deadlock with the merge: PostgreSQL then
 * ends one of the two, and the merge is tried again.
 */
import { createHash } from 'node:crypto';
import type { PoolClient } from 'pg';
import { COPY_COLUMNS } from '../../encode/rows/event-columns.ts';
import { columnList, quoteIdentifier, quoteLiteral } from '../postgres/identifiers.ts';

export type StagingTable = 'a' | 'b';

export const STAGING_TABLES: readonly StagingTable[] = ['a', 'b'];

/** Names of one staging table's relations, with their schema, as SQL takes them. */
export interface StagingNames {
  readonly rows: string;
  readonly ledger: string;
  readonly anomalies: string;
}

/** See {@link StagingNames}. */
export function stagingNames(table: StagingTable): StagingNames {
  return {
    rows: `ingestion.staging_${table}`,
    ledger: `ingestion.staging_ledger_${table}`,
    anomalies: `ingestion.staging_anomaly_${table}`,
  };
}

/** In a transaction: locks a staging table for a merge or for emptying it, in the order given above. */
export async function lockStaging(client: PoolClient, table: StagingTable): Promise<void> {
  const { rows, ledger, anomalies } = stagingNames(table);
  await client.query(`LOCK TABLE ${rows}, ${ledger}, ${anomalies} IN ACCESS EXCLUSIVE MODE`);
}

/** In a transaction that holds its lock: empties a staging table. */
export async function emptyStaging(client: PoolClient, table: StagingTable): Promise<void> {
  const { rows, ledger, anomalies } = stagingNames(table);
  await client.query(`TRUNCATE ${rows}, ${ledger}, ${anomalies}`);
}

/** The COPY statement, with the columns in the order of the encoder's rows. */
export function copySql(table: StagingTable): string {
  return `COPY ${stagingNames(table).rows} (${columnList(COPY_COLUMNS.map((column) => column.name))}) FROM STDIN (FORMAT binary)`;
}

/**
 * Makes both staging tables. When `ingested_events` has changed since, makes them again, but only while they are empty. A
 * check that somebody added to the target is copied, so that a bad row already fails in its COPY. A check that was added
 * while rows are staged fails in the merge instead, which isolates the row as well.
 */
export async function makeStaging(client: PoolClient): Promise<void> {
  const definition = await targetDefinition(client);
  for (const table of STAGING_TABLES) {
    const names = stagingNames(table);
    await client.query(ledgerSql(names));
    const { rows } = await client.query<{ found: string | null; present: boolean }>(
      `SELECT obj_description(to_regclass('${names.rows}'), 'pg_class') AS found,
              to_regclass('${names.rows}') IS NOT NULL AS present`,
    );
    if (rows[0]?.found === definition) continue;
    if (rows[0]?.present === true) {
      await lockStaging(client, table);
      const { rows: leftover } = await client.query<{ empty: boolean }>(
        `SELECT NOT EXISTS (SELECT FROM ${names.rows}) AND NOT EXISTS (SELECT FROM ${names.ledger}) AS empty`,
      );
      if (leftover[0]?.empty !== true) continue;
      await client.query(`DROP TABLE ${names.rows}`);
    }
    await client.query(`CREATE UNLOGGED TABLE ${names.rows} (LIKE public.ingested_events INCLUDING CONSTRAINTS)`);
    await client.query(`ALTER TABLE ${names.rows} ADD COLUMN source_order bigint NOT NULL`);
    await allowMissingColumns(client, names.rows);
    await client.query(`COMMENT ON TABLE ${names.rows} IS ${quoteLiteral(definition)}`);
  }
}

/** The rows of a page lack what only the target fills in: `ingested_at`, and columns with defaults that somebody added. */
async function allowMissingColumns(client: PoolClient, rowsTable: string): Promise<void> {
  const ours = COPY_COLUMNS.map((column) => column.name);
  const { rows } = await client.query<{ name: string }>(
    `SELECT attname AS name FROM pg_attribute
      WHERE attrelid = to_regclass($1) AND attnum > 0 AND attnotnull AND NOT attisdropped AND attname <> ALL ($2)`,
    [rowsTable, ours],
  );
  for (const { name } of rows) {
    await client.query(`ALTER TABLE ${rowsTable} ALTER COLUMN ${quoteIdentifier(name)} DROP NOT NULL`);
  }
}

/** A fingerprint of the target's columns and checks. It is the comment of each staging table. */
async function targetDefinition(client: PoolClient): Promise<string> {
  const { rows } = await client.query<{ definition: string }>(
    `SELECT coalesce(string_agg(line, E'\\n' ORDER BY line COLLATE "C"), '') AS definition FROM (
       SELECT format('%s %s %s %s', attnum, attname, format_type(atttypid, atttypmod), attnotnull) AS line
         FROM pg_attribute WHERE attrelid = to_regclass('public.ingested_events') AND attnum > 0 AND NOT attisdropped
       UNION ALL
       SELECT format('%s %s', conname, pg_get_constraintdef(oid))
         FROM pg_constraint WHERE conrelid = to_regclass('public.ingested_events') AND contype = 'c'
     ) lines`,
  );
  const digest = createHash('sha256')
    .update(rows[0]?.definition ?? '')
    .digest('hex');
  return `staging of ingested_events as defined by ${digest.slice(0, 16)}`;
}

function ledgerSql(names: StagingNames): string {
  return `
CREATE UNLOGGED TABLE IF NOT EXISTS ${names.ledger} (
  run_id bigint NOT NULL,
  window_id integer NOT NULL,
  page integer NOT NULL,
  generation bigint NOT NULL,
  next_cursor text,
  cursor_received_at_ms double precision,
  anchor_ms double precision,
  last_event_ms double precision,
  oldest_ms double precision,
  ends_window boolean NOT NULL,
  end_doubtful boolean NOT NULL,
  suspect boolean NOT NULL,
  continued boolean NOT NULL,
  served integer NOT NULL,
  loaded integer NOT NULL,
  rejected integer NOT NULL,
  repaired integer NOT NULL,
  edge_ms double precision,
  edge_keys text[],
  places integer NOT NULL,
  top_places integer NOT NULL,
  recent_places integer NOT NULL,
  unsure integer NOT NULL,
  repeated integer NOT NULL,
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
