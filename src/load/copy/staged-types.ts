/**
 * Compares what a page's rows were encoded for with the columns of its staging table. A binary row carries no types: the
 * sixteen bytes of a UUID would be stored as sixteen characters, without an error.
 */
import type { PoolClient } from 'pg';
import { StagedTypesError } from '../../core/errors.ts';
import { describePlace } from '../../core/page-place.ts';
import { copyColumns, sqlType } from '../../encode/rows/event-columns.ts';
import type { Source } from '../schema/source.ts';
import { stagingNames, type StagingTable } from '../schema/staging.ts';
import type { PageBatch } from './page-batch.ts';

/** A staging table as it was when it was looked at. */
interface StagedColumns {
  /** Its object id: a table that is made anew has another one. */
  readonly oid: number;
  readonly types: ReadonlyMap<string, string>;
}

/** Looks at a table once a connection. The ledger row of a page is only written while the table is the one looked at. */
export class StagedTypes {
  readonly #seen = new WeakMap<PoolClient, Map<StagingTable, StagedColumns>>();

  /**
   * @returns the object id of the table that the rows fit; `null` when there are no rows
   * @throws StagedTypesError; nothing is copied then
   */
  async check(client: PoolClient, { table, encoded, ledger }: PageBatch, source: Source): Promise<number | null> {
    if (encoded === null || encoded.rowCount === 0) return null;
    const { idColumnTypes } = encoded;
    if (idColumnTypes === null) throw new Error(`nobody knows what the rows of ${describePlace(ledger)} were made for`);
    const { rows: relation } = stagingNames(source, table);
    const found = await this.#look(client, table, relation);
    const misfit = copyColumns(source.target.plan)
      .map((column) => ({
        name: column.name,
        made: serverName(sqlType(column, idColumnTypes)),
        found: found.types.get(column.name) ?? 'missing',
      }))
      .find((column) => column.made !== column.found);
    if (misfit === undefined) return found.oid;
    this.#seen.delete(client);
    throw new StagedTypesError(
      `The rows of ${describePlace(ledger)} were made for a column ${misfit.name} of type ${misfit.made}, and in ` +
        `${relation} it is ${misfit.found}: nothing of the page was copied. Somebody has changed the ` +
        'tables while the job ran. What is merged is safe: start again, and the staging tables are made to fit the target.',
      { location: { windowId: ledger.windowId, page: ledger.page } },
    );
  }

  async #look(client: PoolClient, table: StagingTable, relation: string): Promise<StagedColumns> {
    const tables = this.#seen.get(client) ?? new Map<StagingTable, StagedColumns>();
    this.#seen.set(client, tables);
    const known = tables.get(table);
    if (known !== undefined) return known;
    const columns = await readColumns(client, relation);
    tables.set(table, columns);
    return columns;
  }
}

async function readColumns(client: PoolClient, relation: string): Promise<StagedColumns> {
  const { rows } = await client.query<{ oid: number; name: string; type: string }>(
    `SELECT attrelid AS oid, attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
      WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`,
    [relation],
  );
  return { oid: rows[0]?.oid ?? 0, types: new Map(rows.map(({ name, type }) => [name, type])) };
}

/** The type as the server writes it out. */
function serverName(type: string): string {
  return type === 'timestamptz' ? 'timestamp with time zone' : type;
}
