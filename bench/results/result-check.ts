/**
 * Checks that contenders have loaded the same rows, by a fingerprint of all values that does not depend on their order.
 * PostgreSQL's hash of a row is equal for equal values. JSON.parse makes 19.9 of 19.90: another text, but the same number, so
 * the comparison programs pass.
 */
import { EVENT_COLUMNS } from '../../src/encode/rows/event-columns.ts';
import { query } from '../measure/server.ts';

export interface TargetContents {
  readonly rows: number;
  /** Null when it was not read. */
  readonly fingerprint: string | null;
}

/** Reads the whole table, which takes some seconds for a million rows. */
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
