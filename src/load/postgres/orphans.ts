/**
 * Backends that a killed ingester has left behind. Where its machine or its network went with it, the server notices that
 * nobody is there after hours, and keeps their locks until then.
 */
import type { Logger } from '../../core/logging.ts';
import type { Backend } from './connection-watch.ts';
import type { Database } from './database.ts';

export interface Orphans {
  /** How their `application_name` begins. */
  readonly application: string;
  /** With their schema; those that do not exist are held by nobody. */
  readonly relations: readonly string[];
  /** What they do there, for the log. */
  readonly why: string;
}

/** Ends them, and waits until they are gone. Whoever only reads (a person, a dump, the status command) is left alone. */
export async function endOrphans(
  db: Database,
  { application, relations, why }: Orphans,
  logger: Logger,
): Promise<void> {
  const { rows } = await db.query<Backend>(
    `SELECT DISTINCT s.pid, s.backend_start::text AS "startedAt"
       FROM pg_locks l JOIN pg_stat_activity s ON s.pid = l.pid
      WHERE l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.relation IN (SELECT to_regclass(name) FROM unnest($1::text[]) AS name)
        AND l.mode <> 'AccessShareLock'
        AND starts_with(s.application_name, $2) AND s.pid <> pg_backend_pid()`,
    [relations, application],
  );
  for (const backend of rows) {
    logger.info({ pid: backend.pid, why }, 'ending a backend that an earlier start left behind');
    await db.connections.terminate(backend);
  }
}
