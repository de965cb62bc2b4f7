/** Whether somebody else's code runs when a row is inserted into the target. It can skip rows, or take them out again. */
import type { PoolClient } from 'pg';
import { TARGET } from '../schema/ingested-events.ts';

/** The bit of `pg_trigger.tgtype` for triggers on INSERT. */
const ON_INSERT = 4;

/**
 * In the merge's transaction: locks the target so that no trigger or rule comes before its end. A foreign key is no trigger
 * in this sense: it refuses with an error. Triggers of partitions count.
 * @returns the names of triggers for INSERT and of rules; none: what is inserted stays
 */
export async function lockAgainstTriggers(client: PoolClient): Promise<readonly string[]> {
  await client.query(`LOCK TABLE ${TARGET} IN ROW EXCLUSIVE MODE`);
  const { rows } = await client.query<{ name: string }>(
    `WITH tables AS (
       SELECT relid FROM pg_partition_tree('${TARGET}') UNION SELECT '${TARGET}'::regclass
     )
     SELECT DISTINCT tgname AS name FROM pg_trigger g JOIN tables ON relid = tgrelid
      WHERE NOT tgisinternal AND tgenabled <> 'D' AND tgtype & ${ON_INSERT} <> 0
     UNION
     SELECT DISTINCT rulename FROM pg_rewrite JOIN tables ON relid = ev_class
      WHERE ev_type IN ('2', '3') AND ev_enabled <> 'D'
      ORDER BY name`,
  );
  return rows.map(({ name }) => name);
}
