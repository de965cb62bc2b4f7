/**
 * Makes the staging tables. They have the columns that the encoder writes, with the target's id types, and none of the
 * target's rules: the target judges its rules itself, in the merge, where they are as they are then.
 *
 * The comment of each table is its definition. A table with another definition is made anew at once, whatever is in it:
 * binary rows must never meet columns of other types than they were made for.
 */
import type { PoolClient } from 'pg';
import { COPY_COLUMNS } from '../../encode/rows/event-columns.ts';
import { columnList, quoteIdentifier, quoteLiteral } from '../postgres/identifiers.ts';
import { oneRow } from '../postgres/one-row.ts';
import { ownRelation, type Source } from './source.ts';
import {
  STAGING_TABLES,
  emptyStaging,
  ledgerSql,
  lockStaging,
  stagedPages,
  stagingNames,
  type StagingNames,
  type StagingTable,
} from './staging.ts';
import type { TargetColumn } from './target-facts.ts';

const COLUMN_LIST = columnList(COPY_COLUMNS.map((column) => column.name));

/**
 * In a transaction, when the target exists. Rows that fit the new columns are kept. When rows have ids of other types, both
 * tables are emptied together with what is known of their pages, and the epoch goes, so that a job that knows of those
 * pages begins anew: the pages are fetched again.
 * @param target its columns
 * @returns how many pages were dropped
 */
export async function makeStaging(
  client: PoolClient,
  source: Source,
  target: readonly TargetColumn[],
): Promise<number> {
  const columns = stagingColumns(target);
  const definition = `rows for ${source.target.name}: ${columns}`;
  const outdated: { table: StagingTable; isThere: boolean }[] = [];
  for (const table of STAGING_TABLES) {
    const names = stagingNames(source, table);
    const { found, isThere, hasLedger } = await oneRow<FoundTable>(
      client,
      `SELECT obj_description(to_regclass('${names.rows}'), 'pg_class') AS found,
              to_regclass('${names.rows}') IS NOT NULL AS "isThere",
              to_regclass('${names.ledger}') IS NOT NULL AND to_regclass('${names.anomalies}') IS NOT NULL AS "hasLedger"`,
    );
    // IF NOT EXISTS alone would be a definition to an event trigger that forbids them.
    if (!hasLedger) await client.query(ledgerSql(names));
    if (found !== definition) outdated.push({ table, isThere });
  }
  if (outdated.length === 0) return 0;
  const there = outdated.filter(({ isThere }) => isThere).map(({ table }) => table);
  const isLost = await haveUnfitRows(client, source, there);
  const dropped = isLost ? await dropPages(client, source) : 0;
  const made = ownRelation(source, 'staging_made');
  for (const { table, isThere } of outdated) {
    await makeAnew(client, stagingNames(source, table), made, columns, definition, isThere);
  }
  return dropped;
}

interface FoundTable {
  readonly found: string | null;
  readonly isThere: boolean;
  readonly hasLedger: boolean;
}

/** The columns as SQL. The id is sorted as the target's key sorts it, so that a merge walks the key's index in order. */
function stagingColumns(target: readonly TargetColumn[]): string {
  return COPY_COLUMNS.map((column) => {
    const { name } = column;
    const found = target.find((one) => one.name === name);
    const type = typeof column.type === 'string' ? column.type : found?.type;
    if (type === undefined) throw new Error(`the target has no column ${name}`);
    const collation = name === 'id' ? (found?.collation ?? null) : null;
    const sorted = collation === null ? '' : ` COLLATE ${collation}`;
    const isAlwaysThere = name === 'id' || name === 'source_order';
    return `${quoteIdentifier(name)} ${type}${sorted}${isAlwaysThere ? ' NOT NULL' : ''}`;
  }).join(', ');
}

/** Locks the tables. Rows decide, not pages: a page without rows fits any types. */
async function haveUnfitRows(client: PoolClient, source: Source, tables: readonly StagingTable[]): Promise<boolean> {
  for (const table of tables) await lockStaging(client, source, table);
  for (const table of tables) {
    const { rows: relation } = stagingNames(source, table);
    const { unfit } = await oneRow<{ unfit: boolean }>(
      client,
      `SELECT EXISTS (SELECT FROM ${relation}) AND EXISTS (
         SELECT FROM unnest(ARRAY['id', 'session_id', 'user_id']) AS name
           LEFT JOIN pg_attribute s ON s.attrelid = to_regclass('${relation}') AND s.attname = name AND NOT s.attisdropped
           LEFT JOIN pg_attribute t ON t.attrelid = ${source.target.oid} AND t.attname = name
                AND NOT t.attisdropped
          WHERE s.atttypid IS DISTINCT FROM t.atttypid) AS unfit`,
    );
    if (unfit) return true;
  }
  return false;
}

async function dropPages(client: PoolClient, source: Source): Promise<number> {
  // A table that is not outdated is not locked yet.
  for (const table of STAGING_TABLES) await lockStaging(client, source, table);
  const pages = await stagedPages(client, source);
  for (const table of STAGING_TABLES) await emptyStaging(client, source, table);
  await client.query('DELETE FROM ingestion.staging_epoch WHERE source_id = $1', [source.sourceId]);
  return pages;
}

async function makeAnew(
  client: PoolClient,
  names: StagingNames,
  made: string,
  columns: string,
  definition: string,
  isThere: boolean,
): Promise<void> {
  await client.query(`CREATE UNLOGGED TABLE ${made} (${columns})`);
  if (isThere) {
    const sql = `SELECT EXISTS (SELECT FROM ${names.rows}) AS "hasRows"`;
    const { hasRows } = await oneRow<{ hasRows: boolean }>(client, sql);
    // Columns of other types cannot even be named together when there is nothing to move.
    if (hasRows) {
      await client.query(`INSERT INTO ${made} (${COLUMN_LIST}) SELECT ${COLUMN_LIST} FROM ${names.rows}`);
    }
    await client.query(`DROP TABLE ${names.rows}`);
  }
  await client.query(`ALTER TABLE ${made} RENAME TO ${quoteIdentifier(names.rows.replace('ingestion.', ''))}`);
  await client.query(`COMMENT ON TABLE ${names.rows} IS ${quoteLiteral(definition)}`);
}
