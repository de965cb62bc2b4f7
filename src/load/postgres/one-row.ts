/** Queries that always give exactly one row: counts, sums, the server's own settings. */
import type { QueryResult, QueryResultRow } from 'pg';

/** The database, or the client of a transaction. */
export interface Queryable {
  query<R extends QueryResultRow>(text: string, values?: unknown[]): Promise<QueryResult<R>>;
}

/** @throws Error when there is another number of rows: a defect of the query */
export async function oneRow<R extends QueryResultRow>(db: Queryable, text: string, values?: unknown[]): Promise<R> {
  const { rows } = await db.query<R>(text, values);
  const [row] = rows;
  if (row === undefined || rows.length > 1) throw new Error(`a query for one row gave ${rows.length}: ${text}`);
  return row;
}
