/**
 * Who needs the embedded server: each process that does holds a session with a shared advisory lock. The sessions end
 * with their process, however it ends, so nothing can go stale; whoever gets the lock exclusively is the last, and stops it.
 */
import { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { ConfigurationError } from '../core/errors.ts';

/** In database `postgres`: shared by all that need the server, exclusive for the one that stops it. */
const KEEPER_LOCK = 7_304_112_501;
const RECONNECT_EVERY_MS = 500;
/** Five minutes: longer than a crash recovery of a database this size. */
const RECONNECT_ATTEMPTS = 600;

interface Session {
  readonly client: pg.Client;
  readonly socket: Socket;
}

/** This process's word, given to the server, that it needs the server. */
export class Keeper {
  #session: Session;
  readonly #url: string;
  #closed = false;

  private constructor(url: string, session: Session) {
    this.#url = url;
    this.#session = session;
    this.#watch(session);
  }

  /**
   * `null` when the server is about to be stopped by another process, is not there, or recovers from a crash just now.
   * @throws ConfigurationError when the server is not that of `dataDir`
   */
  static async open(url: string, dataDir: string): Promise<Keeper | null> {
    try {
      const session = await connect(url);
      const kept = await tryLock(session, 'pg_try_advisory_lock_shared');
      if (kept) await checkDirectory(session, dataDir);
      if (kept) return new Keeper(url, session);
      await session.client.end();
      return null;
    } catch (error) {
      if (isNotThere(error)) return null;
      throw error;
    }
  }

  /** Gives the word back. True when nobody else keeps the server, and nobody new can until {@link close}. */
  async isLast(): Promise<boolean> {
    this.#closed = true;
    this.#session.socket.ref();
    try {
      await this.#session.client.query('SELECT pg_advisory_unlock_shared($1)', [KEEPER_LOCK]);
      return await tryLock(this.#session, 'pg_try_advisory_lock');
    } catch {
      // The session is gone, and with it the lock: a crashed backend ended all sessions.
    }
    try {
      this.#session = await connect(this.#url);
      return await tryLock(this.#session, 'pg_try_advisory_lock');
    } catch {
      // Not answering: stopped by somebody else, or recovering, and then it is ours to stop.
      return true;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#session.socket.ref();
    await this.#session.client.end().catch(() => undefined);
  }

  /** One killed backend makes PostgreSQL end all sessions, ours too: the word is given again when the server is back. */
  #watch({ client, socket }: Session): void {
    // A session that only says "I am here" must not keep a process alive that is done. Referenced again for each query:
    // a process that waits for an unreferenced socket alone just ends.
    socket.unref();
    client.once('end', () => {
      if (!this.#closed) void this.#reconnect();
    });
  }

  async #reconnect(): Promise<void> {
    for (let attempt = 1; attempt <= RECONNECT_ATTEMPTS; attempt += 1) {
      // Unreferenced: a process that is done must not stay for this.
      await delay(RECONNECT_EVERY_MS, undefined, { ref: false });
      if (this.#closed) return;
      const session = await connect(this.#url).catch(() => null);
      if (session === null) continue;
      const kept = await tryLock(session, 'pg_try_advisory_lock_shared').catch(() => false);
      if (this.#isClosed() || !kept) {
        await session.client.end().catch(() => undefined);
        continue;
      }
      this.#session = session;
      this.#watch(session);
      return;
    }
  }

  /** A method, because the compiler takes a field for unchanged across an await. */
  #isClosed(): boolean {
    return this.#closed;
  }
}

async function connect(url: string): Promise<Session> {
  const socket = new Socket();
  const client = new pg.Client({
    connectionString: url,
    application_name: 'datasync-ingestion keeper',
    connectionTimeoutMillis: 30_000,
    keepAlive: true,
    stream: () => socket,
  });
  client.on('error', () => undefined);
  await client.connect();
  return { client, socket };
}

async function tryLock(
  { client }: Session,
  lock: 'pg_try_advisory_lock' | 'pg_try_advisory_lock_shared',
): Promise<boolean> {
  const { rows } = await client.query<{ got: boolean }>(`SELECT ${lock}($1) AS got`, [KEEPER_LOCK]);
  return rows[0]?.got === true;
}

async function checkDirectory({ client }: Session, dataDir: string): Promise<void> {
  const { rows } = await client.query<{ directory: string }>(`SELECT current_setting('data_directory') AS directory`);
  const directory = rows[0]?.directory;
  if (directory === dataDir) return;
  await client.end();
  throw new ConfigurationError(
    `The port of the embedded database in ${dataDir} is answered by the one in ${directory ?? 'an unknown folder'}.`,
  );
}

/** 57P0x: shutting down, crashed, starting up; 08xxx and the socket's own codes: the connection was lost or never made. */
function isNotThere(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (!('code' in error) || typeof error.code !== 'string') return false;
  return /^(57P0[123]|08...|ECONNREFUSED|ECONNRESET|EPIPE)$/.test(error.code);
}
