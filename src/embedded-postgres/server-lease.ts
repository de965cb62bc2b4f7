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
 *    process does not keep the server up, and a crash recovery, which ends all sessions, changes no row.
 */
import pg from 'pg';
import { isAlive } from './server-process.ts';

/** The advisory lock; any number that nothing else in that database uses. */
const LEASE_LOCK = 7_304_112_502;
/** A lock is held for milliseconds, or for as long as the server takes to stop, or to copy a new database. */
const LOCK_TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 30_000;

/** Says that this process needs the server. @param id a UUID; the same for all calls of one user of the server */
export async function takeLease(adminUrl: string, id: string): Promise<void> {
  await withClient(adminUrl, 'take lease', async (client) => {
    // Several statements in one string are one transaction.
    await client.query(`
      SELECT pg_advisory_xact_lock(${LEASE_LOCK});
      CREATE TABLE IF NOT EXISTS server_lease
        (id uuid, pid integer, server_started timestamptz DEFAULT pg_postmaster_start_time());
      INSERT INTO server_lease (id, pid) VALUES ('${id}', ${process.pid})`);
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
    const { rows } = await client.query<{ pid: number }>('SELECT DISTINCT pid FROM server_lease');
    for (const { pid } of rows) if (await isAlive(pid)) return false;
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
  // The server may end the session while no statement runs; the next statement then fails.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/**
 * Whether the server is stopping, starting, recovering from a crash, full of clients, or gone: the same may go well in
 * a moment. The driver's error has no code when a session ends without a word from the server.
 */
export function isServerAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (!('code' in error) || typeof error.code !== 'string') return true;
  return /^(57P0[123]|08...|53300|55P03|ECONNREFUSED|ECONNRESET|EPIPE)$/.test(error.code);
}
