/** Staged rows that do not get into the target are kept as anomalies, and noted so that no later round tries them. */
import type { PoolClient } from 'pg';
import { rebuildEvent, type StoredEvent } from '../../encode/rows/event-rebuilding.ts';
import { PAGE_OF, POSITION_OF, STAGED_EVENT, WINDOW_OF, type MergeScope } from './merge-sql.ts';

/** The rows that a round tries: `ordinal`, from 1, `tid`, the row's place in staging, its `id`, and whether it `was_there` before. */
export const CANDIDATES = 'ingestion.merge_candidate';
/** The rows that got no place in the target: `tid`, `id` and the `round` that tried them. */
export const LEFT_OUT = 'ingestion.merge_left_out';

/** @param ordinals of the candidates */
export async function setAside(
  client: PoolClient,
  scope: MergeScope,
  round: number,
  ordinals: readonly number[],
  reason: string,
): Promise<void> {
  const candidate = `JOIN ${CANDIDATES} c USING (ordinal) JOIN ${scope.names.rows} s ON s.ctid = c.tid`;
  const { rows } = await client.query<StoredEvent & { ordinal: number }>(
    `SELECT ordinal, ${STAGED_EVENT} FROM unnest($1::int[]) AS ordinal ${candidate}`,
    [ordinals],
  );
  await client.query(
    `INSERT INTO ingestion.anomaly (run_id, window_id, page, position, event_id, kind, field, reason, original)
     SELECT $3::bigint, ${WINDOW_OF}, ${PAGE_OF}, ${POSITION_OF}, left(s.id::text, 200), 'rejected', 'event', $4::text, kept.original
       FROM unnest($1::int[], $2::bytea[]) AS kept (ordinal, original) ${candidate}
      ORDER BY ordinal ON CONFLICT DO NOTHING`,
    [
      rows.map(({ ordinal }) => ordinal),
      rows.map((row) => Buffer.from(rebuildEvent(row))),
      scope.runId,
      `${reason}; the original is rebuilt from its row`,
    ],
  );
  await client.query(
    `INSERT INTO ${LEFT_OUT} SELECT s.ctid, s.id, $2::int FROM unnest($1::int[]) AS ordinal ${candidate}`,
    [ordinals, round],
  );
}
