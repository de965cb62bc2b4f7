/**
 * Makes the staging tables. They have the columns that the encoder writes, with the target's id types, and none of the
 * target's rules: the target judges its rules itself, in the merge, where they are as they are then.
 *
 * The comment of each table is its definition. A table with another definition is made anew at once, whatever is in it:
 * binary rows must never meet columns of other types than they were made for.
 */
import type { PoolClient } from 'pg';
import { copyColumns } from '../../encode/rows/event-columns.ts';
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

/**
 * In a transaction, when the target exists. Rows that fit the new columns are kept. When rows have ids of other types, all
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
  const columns = stagingColumns(source, target);
  const definition = `rows for ${source.target.name}: ${columns.map(({ sql }) => sql).join(', ')}`;
  const made = ownRelation(source, 'staging_made');
  const outdated: StagingTable[] = [];
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
    // At once: what follows locks and counts them all.
    if (!isThere) await makeAnew(client, names, made, columns, definition, isThere);
    else if (found !== definition) outdated.push(table);
  }
  if (outdated.length === 0) return 0;
  const isLost = await haveUnfitRows(client, source, outdated, columns);
  const dropped = isLost ? await dropPages(client, source) : 0;
  for (const table of outdated) {
    await makeAnew(client, stagingNames(source, table), made, columns, definition, true);
  }
  return dropped;
}

interface FoundTable {
  readonly found: string | null;
  readonly isThere: boolean;
  readonly hasLedger: boolean;
}

interface StagingColumn {
  readonly name: string;
  readonly type: string;
  /** Its definition. */
  readonly sql: string;
}

/** The id is sorted as the target's key sorts it, so that a merge walks the key's index in order. */
function stagingColumns(source: Source, target: readonly TargetColumn[]): StagingColumn[] {
  return copyColumns(source.target.plan).map((column) => {
    const { name } = column;
    const found = target.find((one) => one.name === name);
    const type = typeof column.type === 'string' ? column.type : found?.type;
    if (type === undefined) throw new Error(`the target has no column ${name}`);
    const collation = name === 'id' ? (found?.collation ?? null) : null;
    const sorted = collation === null ? '' : ` COLLATE ${collation}`;
    const isAlwaysThere = name === 'id' || name === 'source_order';
    return { name, type, sql: `${quoteIdentifier(name)} ${type}${sorted}${isAlwaysThere ? ' NOT NULL' : ''}` };
  });
}

/** Locks the tables. Rows decide, not pages: a page without rows fits any types. */
async function haveUnfitRows(
  client: PoolClient,
  source: Source,
  tables: readonly StagingTable[],
  columns: readonly StagingColumn[],
): Promise<boolean> {
  for (const table of tables) await lockStaging(client, source, table);
  for (const table of tables) {
    const { rows: relation } = stagingNames(source, table);
    const { unfit } = await oneRow<{ unfit: boolean }>(
      client,
      `SELECT EXISTS (SELECT FROM ${relation}) AND EXISTS (
         SELECT FROM unnest($1::text[], $2::text[]) AS wanted (name, type)
           LEFT JOIN pg_attribute s ON s.attrelid = to_regclass('${relation}') AND s.attname = name AND NOT s.attisdropped
          WHERE s.atttypid IS DISTINCT FROM to_regtype(type)) AS unfit`,
      [columns.map(({ name }) => name), columns.map(({ type }) => type)],
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
  columns: readonly StagingColumn[],
  definition: string,
  isThere: boolean,
): Promise<void> {
  await client.query(`CREATE UNLOGGED TABLE ${made} (${columns.map(({ sql }) => sql).join(', ')})`);
  if (isThere) {
    const sql = `SELECT EXISTS (SELECT FROM ${names.rows}) AS "hasRows"`;
    const { hasRows } = await oneRow<{ hasRows: boolean }>(client, sql);
    // Columns of other types cannot even be named together when there is nothing to move.
    if (hasRows) {
      const list = columnList(columns.map(({ name }) => name));
      await client.query(`INSERT INTO ${made} (${list}) SELECT ${list} FROM ${names.rows}`);
    }
    await client.query(`DROP TABLE ${names.rows}`);
  }
  await client.query(`ALTER TABLE ${made} RENAME TO ${quoteIdentifier(names.rows.replace('ingestion.', ''))}`);
  await client.query(`COMMENT ON TABLE ${names.rows} IS ${quoteLiteral(definition)}`);
}
