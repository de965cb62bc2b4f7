/**
 * Statistics of the target, for the people who query it right after a run. They are rough, because the run waits for them: a tenth of
 * PostgreSQL's own sample takes a fifteenth of the time. And who first looks at a page after its rows were merged writes it again, with data
 * checksums also to the write-ahead log. Autovacuum replaces them soon: an ANALYZE that names columns leaves the count alone by which it
 * sees that its own is due.
 */
import type { Logger } from '../../core/logging.ts';
import { describeError } from '../../core/errors.ts';
import type { Database } from '../postgres/database.ts';
import { oneRow } from '../postgres/one-row.ts';
import type { Target } from '../schema/source.ts';
import { targetColumns } from './merge-sql.ts';

/** Milliseconds that an ANALYZE waits for its lock. */
const PATIENCE_MS = 3_000;
/** PostgreSQL's own is 100; it samples 300 rows for each. */
const STATISTICS_TARGET = 10;
/** Autovacuum's own default. With fewer changes its statistics are better than rough ones. */
const CHANGED_SHARE = 0.1;

const isDueSql = ({ oid }: Target): string => `
  SELECT coalesce(sum(pg_stat_get_mod_since_analyze(c.oid)) > ${CHANGED_SHARE} * sum(greatest(c.reltuples, 0)), false) AS "isDue"
    FROM pg_class c WHERE c.oid = ${oid} OR c.oid IN (SELECT relid FROM pg_partition_tree(${oid}))`;

/** After the last merge of a run. A courtesy: where somebody holds the table, or the role may not, the run is complete without. */
export async function analyzeTarget(db: Database, target: Target, logger: Logger): Promise<void> {
  try {
    await db.transaction('analysing the target', async (client) => {
      const { isDue } = await oneRow<{ isDue: boolean }>(client, isDueSql(target));
      if (!isDue) return;
      await client.query(
        `SET LOCAL lock_timeout = ${PATIENCE_MS}; SET LOCAL default_statistics_target = ${STATISTICS_TARGET};
         ANALYZE ${target.sql} (${targetColumns(target)})`,
      );
    });
  } catch (error) {
    logger.debug({ reason: describeError(error) }, 'the target could not be analysed');
  }
}
