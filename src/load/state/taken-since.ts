/**
 * What was taken since a proof: rounds of `--follow` prove nothing, but what the API counts more than at the proof is there when as many
 * events came with them. Counted up to the newest run that was told the API's count, so that both are of one moment, and behind it.
 */
import { oneRow, type Queryable } from '../postgres/one-row.ts';
import { countRejected } from '../copy/anomalies.ts';
import { isOf, type Source } from '../schema/source.ts';
import { readBaseRun, type StoredRun } from './run-reader.ts';

export interface TakenSince {
  /** The newest run that is over. */
  readonly runId: number;
  /** What the newest run was told that was told the API's count: where bounded answers count what was asked for, that is the proof. */
  readonly total: number | null;
  /** Events that no run up to the proof had brought, rows and rejected ones: of the runs up to that one, and of those behind it. */
  readonly events: number;
  readonly eventsBehind: number;
}

export async function readTakenSince(db: Queryable, source: Source, proven: StoredRun): Promise<TakenSince> {
  const newest = (await readBaseRun(db, source, proven.source, 'new-events')) ?? proven;
  const counted = (await readBaseRun(db, source, proven.source, 'counted')) ?? proven;
  const countedId = Math.max(counted.runId, proven.runId);
  return {
    runId: newest.runId,
    total: counted.runId < proven.runId ? proven.passTotal : counted.passTotal,
    events: await takenBetween(db, source, proven, proven.runId, countedId),
    eventsBehind: await takenBetween(db, source, proven, countedId, newest.runId),
  };
}

async function takenBetween(
  db: Queryable,
  source: Source,
  { source: address }: Pick<StoredRun, 'source'>,
  afterId: number,
  lastId: number,
): Promise<number> {
  if (lastId <= afterId) return 0;
  const { inserted } = await oneRow<{ inserted: number }>(
    db,
    `SELECT coalesce(sum(inserted), 0)::float8 AS inserted FROM ingestion.run
      WHERE ${isOf('run', source)} AND source = $1 AND run_id > $2 AND run_id <= $3`,
    [address, afterId, lastId],
  );
  return inserted + (await countRejected(db, source, afterId + 1, lastId)).fresh;
}
