/**
 * How many different events a run has brought. Where all rows that the job knows of are the run's own, these are the rows that it made.
 * Else a row may be of an event that the API no longer has, or never had: then each merge keeps a key of each of its ids.
 */
import type { PoolClient } from 'pg';
import { countRejected } from '../copy/anomalies.ts';
import { oneRow, type Queryable } from '../postgres/one-row.ts';
import type { Source } from '../schema/source.ts';

/** Each event once. */
export interface FoundEvents {
  /** That no run before it had brought. */
  readonly fresh: number;
  readonly different: number;
}

export async function readFoundEvents(db: Queryable, source: Source, runId: number): Promise<FoundEvents> {
  const { inserted, keys, rejected } = await oneRow<{ inserted: number; keys: number; rejected: number }>(
    db,
    `SELECT inserted::float8 AS inserted, rejected::float8 AS rejected,
            (SELECT count(DISTINCT key) FROM ingestion.served_keys k, unnest(k.keys) AS key WHERE k.run_id = r.run_id)::float8 AS keys
       FROM ingestion.run r WHERE run_id = $1`,
    [runId],
  );
  const without = rejected === 0 ? { fresh: 0, different: 0 } : await countRejected(db, source, runId);
  return { fresh: inserted + without.fresh, different: Math.max(inserted, keys) + without.different };
}

/**
 * In the transaction of a merge, before it is added to the counts.
 * @param rows the staging table that was merged
 * @param isAllThere false: the target has refused some of them
 */
export async function keepServedKeys(
  client: PoolClient,
  { sourceId, target }: Source,
  { rows, runId, isAllThere }: { readonly rows: string; readonly runId: number; readonly isAllThere: boolean },
): Promise<void> {
  await client.query(
    `INSERT INTO ingestion.served_keys (run_id, keys)
     SELECT $1, array_agg(hashtextextended(s.id::text COLLATE "C", 0)) FROM ${rows} s
      WHERE NOT EXISTS (SELECT FROM ingestion.target_rows t, ingestion.run r WHERE t.source_id = $2 AND r.run_id = $1 AND t.rows = r.inserted)
        ${isAllThere ? '' : `AND EXISTS (SELECT FROM ${target.sql} t WHERE t.id = s.id)`}
     HAVING count(*) > 0`,
    [runId, sourceId],
  );
}
