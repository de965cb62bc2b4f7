/**
 * What was taken since a proof: rounds of `--follow` prove nothing, but what the API counts more than at the proof is there when as many
 * events came with them. Counted up to the newest run that was told the API's count, so that both are of one moment.
 */
import { oneRow, type Queryable } from '../postgres/one-row.ts';
import { countRejected } from '../copy/anomalies.ts';
import { isOf, type Source } from '../schema/source.ts';
import { readBaseRun, type StoredRun } from './run-reader.ts';

export interface TakenSince {
  /** The newest run that was told the API's count, and what it was told. */
  readonly runId: number;
  readonly total: number | null;
  /** Events that no run up to the proof had brought: rows, and rejected ones. */
  readonly events: number;
}

export async function readTakenSince(db: Queryable, source: Source, proven: StoredRun): Promise<TakenSince> {
  const newest = (await readBaseRun(db, source, proven.source, 'counted')) ?? proven;
  const { runId, passTotal: total } = newest;
  if (runId <= proven.runId) return { runId, total, events: 0 };
  const { inserted } = await oneRow<{ inserted: number }>(
    db,
    `SELECT sum(inserted)::float8 AS inserted FROM ingestion.run
      WHERE ${isOf('run', source)} AND source = $1 AND run_id > $2 AND run_id <= $3`,
    [proven.source, proven.runId, runId],
  );
  const rejected = await countRejected(db, source, proven.runId + 1, runId);
  return { runId, total, events: inserted + rejected.fresh };
}
