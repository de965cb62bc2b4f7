/** What the target holds, to be compared with what the API counts. */
import type { Database } from '../postgres/database.ts';
import { TARGET } from '../schema/ingested-events.ts';

export interface TargetCounts {
  readonly rows: number;
  /** Different rejected events (by their bytes) of all runs of the source. */
  readonly rejected: number;
  /** Rows that runs of other sources inserted; some of them may be events of this source, too. */
  readonly otherRows: number;
}

/**
 * Counts rows one by one: exact, and seconds for many millions.
 * @param known `rows` when they are known already; `null` to have them counted
 */
export async function readTargetCounts(
  db: Database,
  source: string,
  known: { readonly rows: number | null },
): Promise<TargetCounts> {
  const { rows } = await db.query<TargetCounts>(
    `SELECT coalesce($2::float8, (SELECT count(*) FROM ${TARGET})) AS rows,
            (SELECT count(DISTINCT sha256(a.original)) FROM ingestion.anomaly a JOIN ingestion.run r USING (run_id)
              WHERE a.kind = 'rejected' AND r.source = $1)::float8 AS rejected,
            (SELECT coalesce(sum(inserted), 0) FROM ingestion.run r WHERE r.source <> $1)::float8 AS "otherRows"`,
    [source, known.rows],
  );
  const [counts] = rows;
  if (counts === undefined) throw new Error('the counts of the target came back without a row');
  return counts;
}
