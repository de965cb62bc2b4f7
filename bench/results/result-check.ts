/**
 * Whether contenders have loaded the same: a figure over all values of all rows that does not depend on their order.
 * PostgreSQL's own hash of a row is equal for equal values: JSON.parse makes 19.9 of 19.90, which is another text and the
 * same number, so the comparison programs pass.
 */
import { EVENT_COLUMNS } from '../../src/encode/rows/event-columns.ts';
import { query } from '../measure/server.ts';

export interface TargetContents {
  readonly rows: number;
  /** Null: not read. */
  readonly fingerprint: string | null;
}

/** Reads the whole table: some seconds a million rows. */
export async function readContents(databaseUrl: string): Promise<TargetContents> {
  const row = EVENT_COLUMNS.map(({ name }) => name).join(', ');
  const [found] = await query<{ rows: string; fingerprint: string }>(
    databaseUrl,
    `SELECT count(*) AS rows, coalesce(sum(hash_record_extended(ROW(${row}), 0)), 0) AS fingerprint
       FROM public.ingested_events`,
  );
  return { rows: Number(found?.rows), fingerprint: found?.fingerprint ?? '' };
}

export async function countRows(databaseUrl: string): Promise<number> {
  const [found] = await query<{ rows: string }>(databaseUrl, 'SELECT count(*) AS rows FROM public.ingested_events');
  return Number(found?.rows);
}
