/** What triggers of the target do to rows without an error: leave them out, take them out again, give them another id. */
import type { PoolClient } from 'pg';
import { ConfigurationError } from '../../core/errors.ts';
import { TARGET } from '../schema/target-facts.ts';
import { changesNothing, type MergeScope } from './merge-sql.ts';
import { CANDIDATES, MOVED, REFUSED, RowByRow } from './row-by-row.ts';
import { LEFT_OUT } from './set-aside.ts';

/** Candidates that were taken without an error and have not got there: a trigger has left them out, or left their change out. */
export async function skippedRows(client: PoolClient, scope: MergeScope): Promise<readonly number[]> {
  const { rows } = await client.query<{ ordinal: number; wasThere: boolean }>(
    `SELECT c.ordinal, c.was_there AS "wasThere" FROM ${CANDIDATES} c
      WHERE NOT EXISTS (SELECT FROM ${REFUSED} r WHERE r.ordinal = c.ordinal)
        AND (CASE WHEN c.was_there THEN NOT EXISTS (SELECT FROM ${MOVED} m WHERE m.ordinal = c.ordinal)
                                        AND NOT EXISTS (SELECT FROM ${TARGET} t JOIN ${scope.names.rows} s ON s.ctid = c.tid
                                                         WHERE t.id = c.id AND ${changesNothing(scope.onConflict, 's')})
                  ELSE NOT EXISTS (SELECT FROM ${TARGET} t WHERE t.id = c.id) END)
      ORDER BY c.ordinal`,
  );
  const ordinals = (wasThere: boolean): number[] =>
    rows.filter((row) => row.wasThere === wasThere).map(({ ordinal }) => ordinal);
  return [...ordinals(false), ...(await new RowByRow(client, scope).leftOut(ordinals(true)))].sort((a, b) => a - b);
}

/** By its id the job knows an event's row: under another one, the next run would add it once more. */
export async function checkIdsAreGiven(client: PoolClient, { plan }: MergeScope): Promise<void> {
  const { rows } = await client.query<{ strange: number }>(
    `SELECT count(*)::int AS strange FROM ${MOVED} WHERE ordinal IS NULL`,
  );
  const strange = rows[0]?.strange ?? 0;
  if (strange === 0) return;
  throw new ConfigurationError(
    `a trigger gave ${strange} rows other ids than their events have (${plan.watchedTriggers.join(', ')} of ${TARGET}): the job ` +
      'knows rows by their ids, and would add these again and again. Nothing was merged, the pages stay staged: let the trigger leave ' +
      'the column id as it comes (a column of its own can hold another id), and start again.',
  );
}

/** A trigger may also take out what an earlier round has moved: then the counts of the rounds are not true together. */
export async function checkAllAreThere(client: PoolClient, { names, plan }: MergeScope): Promise<void> {
  const { rows } = await client.query<{ missing: number }>(
    `SELECT count(*)::int AS missing FROM ${names.rows} s
      WHERE NOT EXISTS (SELECT FROM ${TARGET} t WHERE t.id = s.id)
        AND NOT EXISTS (SELECT FROM ${LEFT_OUT} l WHERE l.tid = s.ctid)`,
  );
  const missing = rows[0]?.missing ?? 0;
  if (missing === 0) return;
  throw new ConfigurationError(
    `${missing} rows were moved into ${TARGET}, and a trigger took them out again (${plan.watchedTriggers.join(', ')}): the job ` +
      'cannot say then that every event has its row. Nothing was merged, the pages stay staged: change the trigger, and start again.',
  );
}
