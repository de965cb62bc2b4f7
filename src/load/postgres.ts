/**
 * The one home of node-postgres: pools, session settings, what a lost connection means, and waiting for a database that
 * is away. Everything else in `load` gets its connections here.
 *
 *   general pool   queries, state writes, merges        at most GENERAL_CONNECTIONS
 *   copy pool      one COPY each                        `copyConnections`
 *   dedicated      the advisory lock (owner.ts)         1
 */
import { hostname } from 'node:os';
import pg from 'pg';
import type { Client, ClientConfig, PoolClient, QueryResult, QueryResultRow } from 'pg';
import { ConfigurationError, describeError } from '../core/errors.ts';
import type { Logger } from '../core/logging.ts';
import { OLDEST_SERVER_VERSION, readDatabaseUrl, startupOptions } from './connection-settings.ts';
import type { ConnectionSettings } from './connection-settings.ts';
import { ConnectionLostError, classifyDatabaseError, sqlStateOf } from './database-errors.ts';
import { Outage } from './outage.ts';
import { quoteLiteral } from './identifiers.ts';

export { classifyDatabaseError } from './database-errors.ts';

const GENERAL_CONNECTIONS = 4;
/** The advisory lock's. */
const DEDICATED_CONNECTIONS = 1;
const CONNECT_TIMEOUT_MS = 15_000;
const FIRST_CONTACT_MS = 15_000;
const FIRST_CONTACT_PAUSE_MS = 300;
/** How long to wait for a terminated backend to be gone. */
const TERMINATE_WAIT_MS = 10_000;
const TERMINATE_POLL_MS = 20;

export interface DatabaseOptions {
  readonly url: string;
  readonly copyConnections: number;
  /** Beginning of `application_name`; what a connection does follows after a space. */
  readonly applicationName: string;
  readonly logger: Logger;
  /** How long {@link Database.persistently} waits for a database that is away. */
  readonly maxWaitMs: number;
  /** Told when the job begins to wait for the database, with the reason, and `null` when it is back. */
  readonly onWaiting?: (waiting: string | null) => void;
  /** First contact, milliseconds; 15 s unless given. */
  readonly firstContactMs?: number;
}

/** A server process, told apart from a later one with the same number by its start. */
export interface Backend {
  readonly pid: number;
  readonly startedAt: string;
}

export class Database {
  /** `user@host:port/database`, for messages. */
  readonly described: string;
  /** `server_version_num`: 180004 is 18.4. */
  readonly serverVersion: number;
  readonly applicationName: string;

  readonly #settings: ConnectionSettings;
  readonly #logger: Logger;
  readonly #outage: Outage;
  readonly #general: pg.Pool;
  readonly #copy: pg.Pool;
  readonly #lost = new WeakSet<object>();
  readonly #backends = new WeakMap<object, Backend>();
  #closed: Promise<void> | null = null;

  private constructor(options: DatabaseOptions, settings: ConnectionSettings, serverVersion: number) {
    this.#settings = settings;
    this.#logger = options.logger;
    this.described = settings.described;
    this.serverVersion = serverVersion;
    this.applicationName = options.applicationName;
    this.#outage = new Outage({
      described: settings.described,
      logger: options.logger,
      maxWaitMs: options.maxWaitMs,
      onWaiting: options.onWaiting ?? (() => undefined),
      redact: (text) => settings.redact(text),
    });
    this.#general = this.#openPool('query', GENERAL_CONNECTIONS);
    this.#copy = this.#openPool('copy', options.copyConnections);
  }

  /**
   * First contact: tries for 15 s, then checks that this is a server and a database the job can work with.
   * @throws ConfigurationError when it cannot be reached, refuses us, is older than PostgreSQL 13, not UTF-8, or has
   *   too few connections left.
   */
  static async open(options: DatabaseOptions): Promise<Database> {
    const settings = readDatabaseUrl(options.url);
    const deadlineMs = Date.now() + (options.firstContactMs ?? FIRST_CONTACT_MS);
    for (;;) {
      try {
        const opened = await Database.#firstContact(options, settings);
        options.onWaiting?.(null);
        return opened;
      } catch (error) {
        if (error instanceof ConfigurationError) throw error;
        // While connecting, an error without any code (a TLS refusal, a closed socket) may be a server that starts.
        const transient = classifyDatabaseError(error) === 'transient' || !hasCode(error);
        if (!transient || Date.now() + FIRST_CONTACT_PAUSE_MS > deadlineMs) {
          throw new ConfigurationError(
            `cannot use the database ${settings.described}: ${settings.redact(describeError(error))}. ` +
              'Nothing was changed; check DATABASE_URL and that the server runs and takes connections.',
            { cause: error, location: { connection: settings.described } },
          );
        }
        options.onWaiting?.(settings.redact(describeError(error)));
        await pause(FIRST_CONTACT_PAUSE_MS);
      }
    }
  }

  static async #firstContact(options: DatabaseOptions, settings: ConnectionSettings): Promise<Database> {
    const client = new pg.Client({
      ...settings.config,
      application_name: `${options.applicationName} first contact`,
      options: startupOptions(0, settings.config.options),
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    });
    client.on('error', () => undefined); // the query in flight reports it
    try {
      await client.connect();
      const { rows } = await client.query<{
        version: number;
        encoding: string;
        free: number;
        in_recovery: boolean;
        superuser: boolean;
      }>(FIRST_CONTACT_SQL);
      const found = rows[0];
      if (found === undefined) throw new Error('the server answered a query with no row');
      const needed = options.copyConnections + GENERAL_CONNECTIONS + DEDICATED_CONNECTIONS;
      const problem =
        found.version < OLDEST_SERVER_VERSION
          ? `is PostgreSQL ${Math.floor(found.version / 10_000)}; the job needs 13 or newer`
          : found.encoding !== 'UTF8'
            ? `has the encoding ${found.encoding}; the job needs a UTF8 database (CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0)`
            : found.in_recovery
              ? 'is a read-only standby; the job needs the primary'
              : null;
      if (problem !== null) throw new ConfigurationError(`the database ${settings.described} ${problem}`);
      if (found.free + 1 < needed) {
        // Connections of a run that just died are still being cleared away: worth the rest of the 15 s.
        throw Object.assign(
          new Error(
            `it has ${found.free + 1} connections left and the job needs ${needed}: lower --connections or raise max_connections`,
          ),
          { code: 'CONNECTION_LOST' },
        );
      }
      return new Database(options, settings, found.version);
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  /** One statement in a transaction of its own, on a pooled connection. */
  async query<R extends QueryResultRow>(text: string, values?: unknown[]): Promise<QueryResult<R>> {
    return this.#withClient(this.#general, 'a query', (client) => client.query<R>(text, values));
  }

  /**
   * One transaction; rolled back when `work` throws. `pg_stat_activity` shows it as `<application name> <purpose>`.
   * When it fails, its backend is gone or idle, so that the same work can be tried again at once.
   */
  async transaction<T>(purpose: string, work: (client: PoolClient) => Promise<T>): Promise<T> {
    return this.#withClient(this.#general, purpose, async (client) => {
      await client.query(`BEGIN; SET LOCAL application_name = ${quoteLiteral(`${this.applicationName} ${purpose}`)}`);
      const result = await work(client);
      await commit(client, purpose);
      return result;
    });
  }

  /** A COPY connection. After any error inside, the connection is thrown away and its backend terminated. */
  async withCopyClient<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    return this.#withClient(this.#copy, 'a COPY', work);
  }

  /** A connection outside the pools, with the job's session settings. The caller ends it, and is told when it is lost. */
  async dedicatedClient(purpose: string, onLost: (error: Error) => void): Promise<Client> {
    const client = new pg.Client(this.#clientConfig(purpose));
    client.on('error', onLost);
    try {
      await client.connect();
    } catch (error) {
      await client.end().catch(() => undefined);
      throw hasCode(error) ? error : new ConnectionLostError(purpose, error);
    }
    return client;
  }

  /**
   * Waits out an outage: tries `work` with a growing pause, says so once, and gives up after `maxWaitMs`. `work` must be
   * safe to do again when its outcome is unknown. Errors that are not the database's being away pass through.
   * @throws GaveUpError after `maxWaitMs`, and at once when the disk is full.
   */
  async persistently<T>(what: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#outage.persistently(what, work, signal);
  }

  /**
   * Ends a server process, if it is still there, and waits until it is gone. Best effort: when the database is away,
   * so is the process.
   * @returns whether it is known to be gone.
   */
  async terminateBackend(backend: Backend): Promise<boolean> {
    const deadlineMs = Date.now() + TERMINATE_WAIT_MS;
    try {
      while (Date.now() < deadlineMs) {
        const { rows } = await this.#general.query<{ terminated: boolean }>(
          `SELECT pg_terminate_backend(pid) AS terminated FROM pg_stat_activity
            WHERE pid = $1 AND backend_start = $2::timestamptz`,
          [backend.pid, backend.startedAt],
        );
        if (rows.length === 0) return true;
        await pause(TERMINATE_POLL_MS);
      }
      this.#logger.warn({ pid: backend.pid }, 'a PostgreSQL backend that lost its connection did not end');
      return false;
    } catch {
      return false;
    }
  }

  /** The server process behind a pooled connection. */
  backendOf(client: PoolClient): Backend | null {
    return this.#backends.get(client) ?? null;
  }

  /** `text` without the database's password. */
  redact(text: string): string {
    return this.#settings.redact(text);
  }

  /** Waits for the connections that are in use, then closes all. Safe to call twice. */
  async close(): Promise<void> {
    this.#closed ??= Promise.all([this.#general.end(), this.#copy.end()]).then(() => undefined);
    await this.#closed;
  }

  #clientConfig(purpose: string): ClientConfig {
    return {
      ...this.#settings.config,
      application_name: `${this.applicationName} ${purpose}`,
      options: startupOptions(this.serverVersion, this.#settings.config.options),
      keepAlive: true,
      keepAliveInitialDelayMillis: 30_000,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    };
  }

  #openPool(purpose: string, max: number): pg.Pool {
    const config = this.#clientConfig(purpose);
    const pool = new pg.Pool({
      ...config,
      max,
      // The pool's own connect timeout also limits the wait for a free connection, which back-pressure makes long: the
      // timeout belongs to the client alone.
      connectionTimeoutMillis: 0,
      idleTimeoutMillis: 60_000,
      Client: class extends pg.Client {
        constructor() {
          super(config);
        }
      },
      verify: (client, done) => {
        this.#identify(client).then(() => {
          done();
        }, done);
      },
    });
    // An idle connection that is lost is replaced by the pool; without a listener the process would die of it.
    pool.on('error', () => undefined);
    pool.on('connect', (client) => {
      // The pool listens while a client is idle. Checked out, a lost socket would kill the process.
      client.on('error', () => this.#lost.add(client));
    });
    return pool;
  }

  async #identify(client: PoolClient): Promise<void> {
    const { rows } = await client.query<Backend>(
      `SELECT pid, backend_start::text AS "startedAt" FROM pg_stat_activity WHERE pid = pg_backend_pid()`,
    );
    if (rows[0] !== undefined) this.#backends.set(client, rows[0]);
  }

  async #withClient<T>(pool: pg.Pool, purpose: string, work: (client: PoolClient) => Promise<T>): Promise<T> {
    let client: PoolClient;
    try {
      client = await pool.connect();
    } catch (error) {
      // Errors of connecting without a code: the socket was closed or timed out before the server was ready.
      throw hasCode(error) ? error : new ConnectionLostError(`connecting for ${purpose}`, error);
    }
    try {
      const result = await work(client);
      client.release();
      return result;
    } catch (error) {
      await this.#discard(client, pool === this.#copy);
      throw this.#lost.has(client) && sqlStateOf(error) === null && !hasCode(error)
        ? new ConnectionLostError(purpose, error)
        : error;
    }
  }

  /** After an error: back to the pool when a ROLLBACK shows that the connection is sound, else gone with its backend. */
  async #discard(client: PoolClient, always: boolean): Promise<void> {
    if (!always && !this.#lost.has(client)) {
      try {
        await client.query('ROLLBACK');
        client.release();
        return;
      } catch {
        // falls through: not sound
      }
    }
    const backend = this.backendOf(client);
    client.release(true);
    if (backend !== null && this.#closed === null) await this.terminateBackend(backend);
  }
}

const FIRST_CONTACT_SQL = `
  SELECT current_setting('server_version_num')::int AS version,
         pg_encoding_to_char(d.encoding) AS encoding,
         pg_is_in_recovery() AS in_recovery,
         least(
           current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
             - (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend'),
           CASE WHEN d.datconnlimit < 0 THEN 1000000 ELSE d.datconnlimit
             - (SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database()) END,
           CASE WHEN r.rolconnlimit < 0 THEN 1000000 ELSE r.rolconnlimit
             - (SELECT count(*)::int FROM pg_stat_activity WHERE usename = current_user) END
         ) AS free
    FROM pg_database d, pg_roles r
   WHERE d.datname = current_database() AND r.rolname = current_user`;

/**
 * Commits and makes sure of it: PostgreSQL answers COMMIT of a failed transaction with ROLLBACK, not with an error.
 */
export async function commit(client: PoolClient, purpose: string): Promise<void> {
  const { command } = await client.query('COMMIT');
  if (command !== 'COMMIT') throw new Error(`the transaction of ${purpose} was rolled back by PostgreSQL (${command})`);
}

/** Name of this machine, for `ingestion.owner`. */
export function ownHost(): string {
  return hostname();
}

function hasCode(error: unknown): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string';
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
