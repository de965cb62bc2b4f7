/** The row of a source: which data set it is, and what pages have shown of that. */
import { createHash } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { Database } from '../postgres/database.ts';
import type { Source } from '../schema/source.ts';

/** What pages have shown of a source: see app/walk/endpoint-traits.ts. */
export interface SourceTraits {
  readonly isOrderedByTime: boolean;
  readonly hasFlag: boolean;
  readonly failureWords: 'unknown' | 'mean-failure' | 'mean-nothing';
}

/** See {@link SourceTraits}; what nobody has seen yet is as it usually is. */
export async function readSourceTraits(db: Database, { sourceId }: Source): Promise<SourceTraits> {
  const { rows } = await db.query<SourceTraits>(
    `SELECT ordered_by_time AS "isOrderedByTime", has_flag AS "hasFlag", failure_words AS "failureWords"
       FROM ingestion.source WHERE source_id = $1`,
    [sourceId],
  );
  return rows[0] ?? { isOrderedByTime: true, hasFlag: false, failureWords: 'unknown' };
}

/** What was shown once stays shown. */
export async function noteTraits(client: PoolClient, { sourceId }: Source, traits: SourceTraits): Promise<void> {
  await client.query(
    `UPDATE ingestion.source
        SET ordered_by_time = ordered_by_time AND $2, has_flag = has_flag OR $3,
            failure_words = CASE WHEN failure_words = 'mean-failure' THEN failure_words ELSE $4 END
      WHERE source_id = $1`,
    [sourceId, traits.isOrderedByTime, traits.hasFlag, traits.failureWords],
  );
}

/**
 * Notes which data set the source is from now on, and how it is described: how its key is sent may change without another data set.
 * What pages have shown of another one is not true of it, and is forgotten.
 */
export async function describeSource(
  client: PoolClient,
  { sourceId, description }: Source,
  url: string | null,
): Promise<void> {
  const dataSet = url === null ? null : JSON.stringify({ url });
  const digest = dataSet === null ? null : createHash('sha256').update(dataSet).digest('hex');
  await client.query(
    `UPDATE ingestion.source SET ordered_by_time = DEFAULT, has_flag = DEFAULT, failure_words = DEFAULT
      WHERE source_id = $1 AND sha256 IS DISTINCT FROM $2`,
    [sourceId, digest],
  );
  const shown = dataSet === null || description === undefined ? dataSet : JSON.stringify(description);
  await client.query('UPDATE ingestion.source SET description = $2, sha256 = $3 WHERE source_id = $1', [
    sourceId,
    shown,
    digest,
  ]);
}
