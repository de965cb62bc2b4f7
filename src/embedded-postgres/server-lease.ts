/**
 * Who needs the embedded server. Each process that needs it has a row in a table of the server's database `postgres`.
 * The process that deletes the last row stops the server, and nobody's database is taken away under them:
 *
 *  - A process writes its row, and looks for the rows of others, only while it holds one advisory lock. When it finds
 *    none, it keeps the lock until the server is gone. A start that comes in between waits for the lock, loses its
 *    session together with the server, and starts the server again.
 *  - A process that ends deletes its own row first, and looks for others after that. When several end at once, the one
 *    that deletes its row last finds none.
 *  - A row counts while both its process and the server that it was written on are running. So the row of a killed
 *    process does not keep the server up, and a crash recovery, which ends all sessions, changes no row. A process is
 *    known by its number and its start, because numbers are used again.
 */
import pg from 'pg';
import { startOfProcess } from './server-process.ts';

/** The advisory lock; any number that nothing else in that database uses. */
const LEASE_LOCK = 7_304_112_502;
/** Version 1.0.0 holds this lock, shared, on a session of each process that needs the server. */
const FORMER_LOCK = 7_304_112_501;
/** A lock is held for milliseconds, or for as long as the server takes to stop, or to copy a new database. */
const LOCK_TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 30_000;

interface Lease {
  readonly pid: number;
  readonly started: string | null;
}

/** Says that this process needs the server. @param id a UUID; the same for all calls of one user of the server */
export async function takeLease(adminUrl: string, id: string): Promise<void> {
  const started = await startOfProcess(process.pid);
  await withClient(adminUrl, 'take lease', async (client) => {
    // Several statements in one string are one transaction.
    await client.query(`
      SELECT pg_advisory_xact_lock(${LEASE_LOCK});
      CREATE TABLE IF NOT EXISTS server_lease
        (id uuid, pid integer, process_started text, server_started timestamptz DEFAULT pg_postmaster_start_time());
      INSERT INTO server_lease (id, pid, process_started) VALUES ('${id}', ${process.pid}, '${started}')`);
  });
}

/**
 * Says that this process needs the server no longer. If nobody else does, calls `stop`, and no other process can take a
 * lease before that has ended.
 * @returns whether the server was stopped
 */
export async function returnLease(adminUrl: string, id: string, stop: () => Promise<void>): Promise<boolean> {
  return withClient(adminUrl, 'return lease', async (client) => {
    await client.query('DELETE FROM server_lease WHERE id = $1 OR server_started <> pg_postmaster_start_time()', [id]);
    await client.query('SELECT pg_advisory_lock($1)', [LEASE_LOCK]);
    const { rows } = await client.query<Lease>('SELECT DISTINCT pid, process_started AS started FROM server_lease');
    for (const { pid, started } of rows) if (started !== null && (await startOfProcess(pid)) === started) return false;
    const former = await client.query<{ free: boolean }>('SELECT pg_try_advisory_lock($1) AS free', [FORMER_LOCK]);
    if (former.rows[0]?.free !== true) return false;
    await stop();
    return true;
  });
}

/** Runs `work` on a session of its own in the database of `url`. */
export async function withClient<T>(url: string, purpose: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString: url,
    application_name: `datasync-ingestion ${purpose}`,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    lock_timeout: LOCK_TIMEOUT_MS,
  });
  const startedMs = performance.now();
  const session = { isLost: false };
  const lose = (): void => {
    session.isLost = true;
  };
  client.on('error', lose).on('end', lose);
  try {
    await client.connect();
    return await work(client);
  } catch (cause) {
    const isTooLate = performance.now() - startedMs >= CONNECT_TIMEOUT_MS;
    // The driver's error has no code when a session ends without a word from the server.
    const isSilent = cause instanceof Error && !('code' in cause) && (session.isLost || isTooLate);
    throw isSilent ? new SessionLostError(cause.message, { cause }) : cause;
  } finally {
    await client.end();
  }
}

class SessionLostError extends Error {}

/** Whether the server is stopping, starting, recovering from a crash, full of clients, or gone: a new try may go well. */
export function isServerAway(error: unknown): boolean {
  if (error instanceof SessionLostError) return true;
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return false;
  return /^(57P0[123]|08...|53300|55P03|ECONNREFUSED|ECONNRESET|EPIPE)$/.test(error.code);
}
