/** What triggers of the target do to rows without an error: leave them out, take them out again, give them another id. */
import type { PoolClient } from 'pg';
import { ConfigurationError } from '../../core/errors.ts';
import { oneRow } from '../postgres/one-row.ts';
import { changesNothing, type MergeScope } from './merge-sql.ts';
import { RowByRow, candidatesOf, movedOf, refusedOf } from './row-by-row.ts';
import { leftOutOf } from './set-aside.ts';

/**
 * Candidates that were taken without an error and have not got there: a trigger has left them out, or left their change out.
 * @throws ConfigurationError when a trigger has given a row another id
 */
export async function skippedRows(client: PoolClient, scope: MergeScope): Promise<readonly number[]> {
  const { sql } = scope.source.target;
  await refuseOtherIds(client, scope, `${movedOf(scope)} WHERE ordinal IS NULL`);
  const { rows } = await client.query<{ ordinal: number; wasThere: boolean; wasMade: boolean }>(
    `SELECT c.ordinal, c.was_there AS "wasThere", NOT c.was_there AND m.ordinal IS NOT NULL AS "wasMade"
       FROM ${candidatesOf(scope)} c LEFT JOIN ${movedOf(scope)} m USING (ordinal)
      WHERE NOT EXISTS (SELECT FROM ${refusedOf(scope)} r WHERE r.ordinal = c.ordinal)
        AND (CASE WHEN c.was_there THEN m.ordinal IS NULL
                                        AND NOT EXISTS (SELECT FROM ${sql} t JOIN ${scope.names.rows} s ON s.ctid = c.tid
                                                         WHERE t.id = c.id AND ${changesNothing(scope, 's')})
                  ELSE NOT EXISTS (SELECT FROM ${sql} t WHERE t.id = c.id) END)`,
  );
  // A row that was made and is not there was taken out again, or has got another id.
  if (rows.some(({ wasMade }) => wasMade)) await refuseOtherIds(client, scope, strangeRows(scope));
  const ordinals = (wasThere: boolean): number[] =>
    rows.filter((row) => row.wasThere === wasThere).map(({ ordinal }) => ordinal);
  return [...ordinals(false), ...(await new RowByRow(client, scope).leftOut(ordinals(true)))].sort((a, b) => a - b);
}

/**
 * Rows that this transaction has made, and no event of it. Reads the whole target, but only where the server's own count of what the
 * transaction has made is more than what is there by its id.
 */
function strangeRows(scope: MergeScope): string {
  const { sql, oid } = scope.source.target;
  return `${sql} t, pg_current_xact_id() AS own (id)
    WHERE (NOT current_setting('track_counts')::bool
           OR (SELECT sum(pg_stat_get_xact_tuples_inserted(relid) - pg_stat_get_xact_tuples_deleted(relid))
                 FROM (SELECT relid FROM pg_partition_tree(${oid}) UNION SELECT ${oid}) AS tables)
              > (SELECT count(*) FROM ${candidatesOf(scope)} c
                   WHERE NOT c.was_there AND EXISTS (SELECT FROM ${sql} h WHERE h.id = c.id)))
      AND CASE WHEN age(t.xmin) <= age(own.id::xid) THEN
            pg_xact_status((own.id::text::bigint + age(own.id::xid) - age(t.xmin))::text::xid8) = 'in progress' END
      AND NOT EXISTS (SELECT FROM ${scope.names.rows} s WHERE s.id = t.id)`;
}

/**
 * The job finds the row of an event by its id. A row with another id is not found, so the next run would add the event again.
 * @param strange rows with other ids than their events: a relation, and a condition
 */
async function refuseOtherIds(client: PoolClient, { source, plan }: MergeScope, strange: string): Promise<void> {
  const { found } = await oneRow<{ found: number }>(client, `SELECT count(*)::int AS found FROM ${strange}`);
  if (found === 0) return;
  throw new ConfigurationError(
    `a trigger gave ${found} rows other ids than their events have (${plan.watchedTriggers.join(', ')} of ` +
      `public.${source.target.name}): the job ` +
      'knows rows by their ids, and would add these again and again. Nothing was merged, the pages stay staged: let the trigger leave ' +
      'the column id as it comes (a column of its own can hold another id), and start again.',
  );
}

/** A trigger may also take out what an earlier round has moved, or what was there: then the counts of the rounds are not true together. */
export async function checkAllAreThere(client: PoolClient, scope: MergeScope): Promise<void> {
  const { source, names, plan } = scope;
  const { missing } = await oneRow<{ missing: number }>(
    client,
    `SELECT count(*)::int AS missing FROM ${names.rows} s
      WHERE NOT EXISTS (SELECT FROM ${source.target.sql} t WHERE t.id = s.id)
        AND NOT EXISTS (SELECT FROM ${leftOutOf(scope)} l WHERE l.tid = s.ctid)`,
  );
  if (missing === 0) return;
  throw new ConfigurationError(
    `${missing} rows had their events' ids in public.${source.target.name}, and a trigger took them out again, or gave them other ids ` +
      `(${plan.watchedTriggers.join(', ')}): the job cannot say then that every event has its row. ` +
      'Nothing was merged, the pages stay staged: change the trigger, and start again.',
  );
}
