/** Who, or what, keeps sessions of the job waiting: asked of the server, and put into words. */
import type { ClientBase } from 'pg';
import { oneRow, type Queryable } from './one-row.ts';

/** Somebody's session, a transaction that was prepared and left, or a synchronous standby that does not confirm. */
type HolderKind = 'session' | 'prepared' | 'standby';

export interface Holder {
  readonly kind: HolderKind;
  readonly described: string;
}

interface Words {
  readonly reason: (described: string) => string;
  readonly remedy: string;
  /** The line of the log. */
  readonly warning: string;
}

const OF_LOCKS = 'waiting for a lock that another session holds';

export const WAITING_FOR: Readonly<Record<HolderKind, Words>> = {
  session: {
    reason: (described) => `a lock: ${described} holds it`,
    remedy: 'end that session or its transaction',
    warning: OF_LOCKS,
  },
  prepared: {
    reason: (described) => `a lock: the prepared transaction ${described} holds it`,
    remedy: 'end it by ROLLBACK PREPARED or COMMIT PREPARED with its name',
    warning: OF_LOCKS,
  },
  standby: {
    reason: (described) => `a synchronous standby to confirm a commit (${described})`,
    remedy: 'bring the standby back, or take it out of synchronous_standby_names',
    warning: 'waiting for a synchronous standby to confirm a commit',
  },
};

/**
 * Whom each of these backends waits for in the end: one that waits itself is passed over for the one that it waits for.
 * @param own backends of the job. COPYs into one table wait for each other all the time, each for a moment, to make it longer.
 */
export async function readHolders(
  client: ClientBase,
  pids: readonly number[],
  own: readonly number[],
): Promise<ReadonlyMap<number, Holder>> {
  const { rows } = await client.query<Holder & { pid: number }>(HOLDERS_SQL, [pids, own]);
  return new Map(rows.map(({ pid, kind, described }) => [pid, { kind, described }]));
}

/** Prepared transactions have no process: 0 stands for all of them. */
const PREPARED_SQL = `
  SELECT format('%L (role %s, prepared %s s ago)', x.gid, x.owner, floor(extract(epoch FROM clock_timestamp() - x.prepared)))
    FROM pg_locks n
    JOIN pg_locks h ON h.granted AND h.pid IS NULL
     AND (h.locktype, h.database, h.relation, h.page, h.tuple, h.transactionid::text, h.classid, h.objid, h.objsubid)
         IS NOT DISTINCT FROM
         (n.locktype, n.database, n.relation, n.page, n.tuple, n.transactionid::text, n.classid, n.objid, n.objsubid)
    JOIN pg_locks own ON own.locktype = 'transactionid' AND own.pid IS NULL AND own.virtualtransaction = h.virtualtransaction
    JOIN pg_prepared_xacts x ON x.transaction = own.transactionid
   WHERE n.pid = w.behind AND NOT n.granted ORDER BY x.prepared LIMIT 1`;

/** Literals of a session's query are left out: one may be a secret. */
const SESSION_SQL = `
  format('process %s (role %s, application "%s", transaction since %s s, last query: %s)', w.pid, coalesce(a.usename, '?'),
         coalesce(a.application_name, ''), coalesce(floor(extract(epoch FROM clock_timestamp() - a.xact_start)), 0),
         left(regexp_replace(regexp_replace(a.query, '''[^'']*(''|$)', '''…''', 'g'), '\\s+', ' ', 'g'), 60))`;

const HOLDERS_SQL = `
  WITH RECURSIVE waiting AS (
    SELECT pid AS waiter, pid, NULL::int AS behind FROM unnest($1::int[]) AS pid
    UNION SELECT w.waiter, b.pid, w.pid FROM waiting w, unnest(pg_blocking_pids(w.pid)) AS b (pid)
  )
  SELECT DISTINCT ON (w.waiter) w.waiter AS pid,
         CASE WHEN a.wait_event = 'SyncRep' THEN 'standby' WHEN w.pid = 0 THEN 'prepared' ELSE 'session' END AS kind,
         CASE WHEN a.wait_event = 'SyncRep'
              THEN format('synchronous_standby_names = %L', current_setting('synchronous_standby_names'))
              WHEN w.pid = 0 THEN coalesce((${PREPARED_SQL}), '') ELSE ${SESSION_SQL} END AS described
    FROM waiting w LEFT JOIN pg_stat_activity a ON a.pid = w.pid
   WHERE pg_blocking_pids(w.pid) = '{}' AND (w.pid <> ALL ($2::int[]) OR a.wait_event = 'SyncRep')
   ORDER BY w.waiter, a.xact_start`;

/**
 * Whether somebody has the relation who waits for the caller's transaction, as a dump does that locks one table after the other: if the caller
 * waited for that session, PostgreSQL would end one of the two.
 * @param oid an expression
 */
export async function isHeldByWaiter(db: Queryable, oid: string): Promise<boolean> {
  const { isHeld } = await oneRow<{ isHeld: boolean }>(
    db,
    `SELECT EXISTS (SELECT FROM pg_locks held JOIN pg_locks wanted USING (pid)
                     WHERE held.granted AND held.relation = ${oid} AND NOT wanted.granted
                       AND pg_backend_pid() = ANY (pg_blocking_pids(pid))) AS "isHeld"`,
  );
  return isHeld;
}
