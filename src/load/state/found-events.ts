/**
 * How many different events a run has brought. Where all rows that the job knows of are the run's own, these are the rows that it made.
 * Else a row may be of an event that the API no longer has, or never had: then each merge of a full walk keeps a key of each of its ids.
 * An incremental run is held against its places alone. Of it only the events are looked at that the run before it may have been served.
 */
import type { PoolClient } from 'pg';
import { countRejected } from '../copy/anomalies.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import { oneRow, type Queryable } from '../postgres/one-row.ts';
import type { Source } from '../schema/source.ts';

/** Of a staged row as `s`. */
const KEY = `hashtextextended(s.id::text COLLATE "C", 0)`;

/** Each event once. */
export interface FoundEvents {
  /** That no run before it had brought. */
  readonly fresh: number;
  /** Of a full walk. */
  readonly different: number;
  /** An incremental run was served something that a run before it had been served. */
  readonly cameAgain: boolean;
}

export async function readFoundEvents(db: Queryable, source: Source, runId: number): Promise<FoundEvents> {
  const { inserted, keys, rejected, again } = await oneRow<
    Record<'inserted' | 'keys' | 'rejected', number> & { again: boolean }
  >(
    db,
    `SELECT inserted::float8 AS inserted, rejected::float8 AS rejected, came_again AS again,
            (SELECT count(DISTINCT key) FROM ingestion.served_keys k, unnest(k.keys) AS key WHERE k.run_id = r.run_id)::float8 AS keys
       FROM ingestion.run r WHERE run_id = $1`,
    [runId],
  );
  const without = rejected === 0 ? { fresh: 0, different: 0 } : await countRejected(db, source, runId);
  return {
    fresh: inserted + without.fresh,
    different: Math.max(inserted, keys) + without.different,
    cameAgain: again || without.different > without.fresh,
  };
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
     SELECT $1, array_agg(${KEY}) FROM ${rows} s
      WHERE (SELECT bool_or(w.since_ms IS NULL) AND bool_or(w.until_ms IS NULL) FROM ingestion.state w WHERE w.run_id = $1)
        AND NOT EXISTS (SELECT FROM ingestion.target_rows t, ingestion.run r WHERE t.source_id = $2 AND r.run_id = $1 AND t.rows = r.inserted)
        ${isAllThere ? '' : `AND EXISTS (SELECT FROM ${target.sql} t WHERE t.id = s.id)`}
     HAVING count(*) > 0`,
    [runId, sourceId],
  );
}

/** So many events that may have come again are looked for. */
const MAX_LOOKED_FOR = 10_000;

/**
 * Whether staged rows at or below where the run before ended are of events that have a row already. Ask before the rows are moved. Only an
 * incremental run is asked about, and only until it is known.
 * @param rows the staging table
 */
export async function haveComeAgain(
  client: PoolClient,
  { target }: Source,
  { rows, runId }: { readonly rows: string; readonly runId: number },
): Promise<boolean> {
  const { rows: looking } = await client.query<{ watermarkMs: number }>(
    `SELECT floor_ms + coalesce(lookback_ms, 'Infinity') AS "watermarkMs" FROM ingestion.run
      WHERE run_id = $1 AND NOT came_again AND floor_ms IS NOT NULL`,
    [runId],
  );
  const [run] = looking;
  const { time } = target.plan;
  if (run === undefined || time === null) return false;
  const { rows: found } = await client.query<{ id: string; key: string }>(
    `SELECT s.id::text AS id, ${KEY} AS key FROM ${rows} s
      WHERE s.${quoteIdentifier(time)} <= to_timestamp($1::float8 / 1000)
        AND NOT EXISTS (SELECT FROM ingestion.served_keys k WHERE k.run_id = $2 AND ${KEY} = ANY(k.keys))
      LIMIT ${MAX_LOOKED_FOR}`,
    [run.watermarkMs, runId],
  );
  // By its index, which a join of two large tables would not use.
  const { rows: known } = await client.query(`SELECT FROM ${target.sql} t WHERE t.id = ANY($1) LIMIT 1`, [
    found.map(({ id }) => id),
  ]);
  if (known.length > 0) return true;
  // A later merge must not take the rows that this one is about to make for older ones.
  const keys = found.map(({ key }) => key);
  if (keys.length > 0)
    await client.query('INSERT INTO ingestion.served_keys (run_id, keys) VALUES ($1, $2)', [runId, keys]);
  return false;
}
