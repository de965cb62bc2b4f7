/** The end of a run, in one transaction. */
import type { PoolClient } from 'pg';
import type { Proof, RoundKind } from '../../core/state.ts';
import type { Source } from '../schema/source.ts';

export interface Completion {
  readonly proof: Proof;
  /** See `Run.recentPlaces`. */
  readonly recentPlaces?: number | null;
  /** It is a round of `--follow`, and has taken nothing. */
  readonly emptyRound?: RoundKind | null;
}

export async function completeRun(
  client: PoolClient,
  source: Source,
  runId: number,
  { proof, recentPlaces = null, emptyRound = null }: Completion,
): Promise<void> {
  await client.query(
    `UPDATE ingestion.run SET status = 'complete', finished_at = now(), proof = $2, recent_places = $3 WHERE run_id = $1`,
    [runId, JSON.stringify(proof), recentPlaces],
  );
  await client.query(
    'DELETE FROM ingestion.served_keys k WHERE EXISTS (SELECT FROM ingestion.run WHERE source_id = $1 AND run_id = k.run_id)',
    [source.sourceId],
  );
  if (emptyRound !== null) await leaveNoTrace(client, source, runId, emptyRound);
}

/**
 * A round that took nothing goes, with the anomalies that it met again; one that alone has the bytes of an event stays, whatever row that
 * event's id has. A lookback is kept instead of the one before it, because the next one goes on from its watermark.
 */
async function leaveNoTrace(client: PoolClient, { sourceId }: Source, runId: number, round: RoundKind): Promise<void> {
  await client.query(
    `UPDATE ingestion.run SET took_nothing = true WHERE run_id = $1 AND NOT EXISTS (
       SELECT FROM ingestion.anomaly mine WHERE run_id = $1 AND NOT EXISTS (
         SELECT FROM ingestion.anomaly a JOIN ingestion.run USING (run_id)
          WHERE sha256(a.original) = sha256(mine.original) AND source_id = $2 AND run_id < $1))`,
    [runId, sourceId],
  );
  await client.query(
    `DELETE FROM ingestion.run
      WHERE source_id = $1 AND took_nothing AND begun_by = $2 AND (begun_by = 'new-events' OR run_id <> $3)`,
    [sourceId, round, runId],
  );
}
