/** New windows of a run, numbered on from its last one. */
import type { PoolClient } from 'pg';
import type { WindowState } from '../../core/state.ts';
import type { WindowBounds } from './run-changes.ts';
import { WINDOW_COLUMNS } from './run-reader.ts';

export async function insertWindows(
  client: PoolClient,
  runId: number,
  bounds: readonly WindowBounds[],
): Promise<WindowState[]> {
  if (bounds.length === 0) return [];
  const { rows } = await client.query<WindowState>(
    `WITH numbers AS (
       UPDATE ingestion.run SET last_window_id = last_window_id + $2 WHERE run_id = $1 RETURNING last_window_id - $2 AS before
     )
     INSERT INTO ingestion.state (run_id, window_id, since_ms, until_ms)
     SELECT $1, numbers.before + b.ordinal, b.since_ms, b.until_ms
       FROM numbers, unnest($3::double precision[], $4::double precision[]) WITH ORDINALITY AS b (since_ms, until_ms, ordinal)
     RETURNING ${WINDOW_COLUMNS}`,
    [runId, bounds.length, bounds.map((bound) => bound.sinceMs), bounds.map((bound) => bound.untilMs)],
  );
  if (rows.length !== bounds.length) throw new Error(`run ${runId} is not there`);
  return rows.sort((one, other) => one.windowId - other.windowId);
}
