/**
 * What a job that lives long would leave behind: runs that are older than a month become one row a day, with their counts added up
 * and their anomalies kept. Nothing that a later run goes on from is touched.
 */
import type { PoolClient } from 'pg';
import type { Database } from '../postgres/database.ts';
import { exactlyOnce } from '../postgres/transaction-outcome.ts';
import { checkGeneration, type Ownership } from './owner.ts';

const KEPT_ONE_BY_ONE = '31 days';
const COUNTS = ['pages', 'served', 'loaded', 'inserted', 'updated', 'duplicates', 'rejected', 'repaired'];

export interface TidiedUp {
  /** Runs that went into another one's row. */
  readonly runs: number;
  /** Anomalies that were deleted for their age. */
  readonly anomalies: number;
}

/** @param keepAnomaliesMs `null`: for ever */
export function tidyUp(db: Database, ownership: Ownership, keepAnomaliesMs: number | null): Promise<TidiedUp> {
  return exactlyOnce(db, 'tidying up', async (client) => {
    await checkGeneration(client, ownership);
    const { sourceId } = ownership.source;
    const runs = await foldRuns(client, sourceId);
    const anomalies = keepAnomaliesMs === null ? 0 : await dropAnomalies(client, sourceId, keepAnomaliesMs);
    return { runs, anomalies };
  });
}

/** A condition on `ingestion.run` as `r`: it is of the source $1, is over, and has a proven run behind it that others go on from. */
const IS_PAST = `r.source_id = $1 AND r.status <> 'running' AND r.run_id < (
  SELECT max(run_id) FROM ingestion.run
   WHERE source_id = $1 AND status = 'complete' AND proof ->> 'kind' IN ('count', 'api-end')
     AND begun_by IS DISTINCT FROM 'new-events' AND begun_by IS DISTINCT FROM 'lookback')`;

async function foldRuns(client: PoolClient, sourceId: number): Promise<number> {
  const { rows } = await client.query<{ run: string; kept: string }>(
    `WITH old AS (
       SELECT run_id, first_value(run_id) OVER (
                PARTITION BY source, (finished_at AT TIME ZONE 'UTC')::date
                ORDER BY coalesce(begun_by IN ('new-events', 'lookback'), false), run_id DESC) AS kept
         FROM ingestion.run r WHERE ${IS_PAST} AND finished_at < now() - interval '${KEPT_ONE_BY_ONE}'
     ) SELECT run_id AS run, kept FROM old WHERE run_id <> kept`,
    [sourceId],
  );
  if (rows.length === 0) return 0;
  const pairs = [rows.map(({ run }) => run), rows.map(({ kept }) => kept)];
  const folded = 'unnest($1::bigint[], $2::bigint[]) AS folded (run_id, kept)';
  // Each once, as within a run.
  await client.query(
    `UPDATE ingestion.anomaly a SET run_id = moved.kept
       FROM (SELECT DISTINCT ON (kept, sha256(original), md5(field), md5(reason)) anomaly_id, kept, original, field, reason
               FROM ingestion.anomaly JOIN ${folded} USING (run_id)
              ORDER BY kept, sha256(original), md5(field), md5(reason), anomaly_id) AS moved
      WHERE a.anomaly_id = moved.anomaly_id AND NOT EXISTS (
        SELECT FROM ingestion.anomaly k
         WHERE k.run_id = moved.kept AND sha256(k.original) = sha256(moved.original) AND md5(k.field) = md5(moved.field)
           AND md5(k.reason) = md5(moved.reason))`,
    pairs,
  );
  const sums = COUNTS.map((name) => `sum(${name}) AS ${name}`).join(', ');
  const added = COUNTS.map((name) => `${name} = r.${name} + sums.${name}`).join(', ');
  await client.query(
    `UPDATE ingestion.run r SET ${added}
       FROM (SELECT kept, ${sums} FROM ingestion.run JOIN ${folded} USING (run_id) GROUP BY kept) AS sums
      WHERE r.run_id = sums.kept`,
    pairs,
  );
  await client.query('DELETE FROM ingestion.run WHERE run_id = ANY($1::bigint[])', [pairs[0]]);
  return rows.length;
}

async function dropAnomalies(client: PoolClient, sourceId: number, keepMs: number): Promise<number> {
  const { rowCount } = await client.query(
    `DELETE FROM ingestion.anomaly a USING ingestion.run r
      WHERE a.run_id = r.run_id AND ${IS_PAST} AND r.finished_at < now() - $2::float8 * interval '1 millisecond'`,
    [sourceId, keepMs],
  );
  return rowCount ?? 0;
}
