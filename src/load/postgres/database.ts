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
import { ConfigurationError, describeError } from '../../core/errors.ts';
import type { Logger } from '../../core/logging.ts';
import { readDatabaseUrl, startupOptions } from './connection-settings.ts';
import type { ConnectionSettings } from './connection-settings.ts';
import { withinWatchdog } from '../copy/copy-stream.ts';
import { ConnectionWatch } from './connection-watch.ts';
import { ConnectionLostError, NoProgressError, classifyDatabaseError, sqlStateOf } from './database-errors.ts';
import { contactServer } from './first-contact.ts';
import { quoteLiteral } from './identifiers.ts';
import { Outage } from './outage.ts';

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
  /** See connection-watch.ts. */
  readonly watchMs?: number;
  /** 15 s unless given. */
  readonly connectTimeoutMs?: number;
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
  readonly #madeAtMs = new WeakMap<object, number>();
  readonly #watch: ConnectionWatch;
  readonly #connectTimeoutMs: number;
  /** Connections older than this may be as dead as one that was; ms of `performance.now()`. */
  #suspectBeforeMs = 0;
  #closed: Promise<void> | null = null;

  private constructor(options: DatabaseOptions, settings: ConnectionSettings, serverVersion: number) {
    this.#settings = settings;
    this.#logger = options.logger;
    this.described = settings.described;
    this.serverVersion = serverVersion;
    this.applicationName = options.applicationName;
    this.#connectTimeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
    this.#outage = new Outage({
      described: settings.described,
      logger: options.logger,
      maxWaitMs: options.maxWaitMs,
      onWaiting: options.onWaiting ?? (() => undefined),
      redact: (text) => settings.redact(text),
    });
    this.#watch = new ConnectionWatch({
      askWhoIsIdle: (backends) => this.#askWhoIsIdle(backends),
      ...(options.watchMs === undefined ? {} : { checkMs: options.watchMs }),
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
        const version = await contactServer(settings, {
          applicationName: options.applicationName,
          connections: options.copyConnections + GENERAL_CONNECTIONS + DEDICATED_CONNECTIONS,
          timeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
        });
        options.onWaiting?.(null);
        return new Database(options, settings, version);
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

  /** The same for a COPY to somebody who takes it at their own pace: the server may wait for us for as long as it likes. */
  async withExportClient<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    return this.#withClient(this.#copy, 'an export', work, () => () => undefined);
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
   * Ends a server process, if it is still there, and waits until it is gone: true when it is known to be. Best effort:
   * when the database is away, so is the process.
   */
  async terminateBackend(backend: Backend): Promise<boolean> {
    const deadlineMs = Date.now() + TERMINATE_WAIT_MS;
    let client: PoolClient | undefined;
    let end = (): void => undefined;
    try {
      client = await this.#checkOut(this.#general);
      end = this.#await(client);
      while (Date.now() < deadlineMs) {
        const { rows } = await client.query<{ terminated: boolean }>(
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
      client?.release(true);
      client = undefined;
      return false;
    } finally {
      end();
      client?.release();
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
      connectionTimeoutMillis: this.#connectTimeoutMs,
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
      this.#madeAtMs.set(client, performance.now());
      // The pool listens while a client is idle. Checked out, a lost socket would kill the process.
      client.on('error', () => this.#lost.add(client));
    });
    return pool;
  }

  /** Behind a pooler the next statement may be another backend's: then nothing is known of this one. */
  async #identify(client: PoolClient): Promise<void> {
    const { rows } = await client.query<Backend>(
      `SELECT pid, backend_start::text AS "startedAt" FROM pg_stat_activity WHERE pid = pg_backend_pid()`,
    );
    const backend = rows[0];
    if (backend !== undefined && 'processID' in client && client.processID === backend.pid) {
      this.#backends.set(client, backend);
    }
  }

  /** A connection that is not older than one that turned out to be dead. */
  async #checkOut(pool: pg.Pool): Promise<PoolClient> {
    for (;;) {
      const client = await pool.connect();
      if ((this.#madeAtMs.get(client) ?? 0) >= this.#suspectBeforeMs) return client;
      client.release(true);
    }
  }

  /** From now on an answer of the server is awaited on this connection, until the result is called. */
  #await(client: PoolClient): () => void {
    const backend = this.backendOf(client);
    if (backend === null) return () => undefined;
    return this.#watch.begin(backend, () => {
      this.#logger.debug({ pid: backend.pid }, 'a connection to PostgreSQL is silent: given up');
      this.#suspectBeforeMs = performance.now();
      this.#lost.add(client);
      client.connection.stream.destroy();
    });
  }

  /** See connection-watch.ts. */
  async #askWhoIsIdle(backends: readonly Backend[]): Promise<ReadonlyMap<number, string> | null> {
    let client: Client | null = null;
    try {
      client = await this.dedicatedClient('watch', () => undefined);
      const { rows } = await withinWatchdog(
        'asking who is idle',
        this.#connectTimeoutMs,
        client.query<{ pid: number; since: string }>(WHO_IS_IDLE_SQL, [
          backends.map(({ pid }) => pid),
          backends.map(({ startedAt }) => startedAt),
        ]),
      );
      return new Map(rows.map(({ pid, since }) => [pid, since]));
    } catch (error) {
      // The server is there, and has no connection left, say.
      if (sqlStateOf(error) !== null) return null;
      throw error;
    } finally {
      client?.connection.stream.destroy();
    }
  }

  async #withClient<T>(
    pool: pg.Pool,
    purpose: string,
    work: (client: PoolClient) => Promise<T>,
    watch = (client: PoolClient): (() => void) => this.#await(client),
  ): Promise<T> {
    let client: PoolClient;
    try {
      client = await this.#checkOut(pool);
    } catch (error) {
      // Errors of connecting without a code: the socket was closed or timed out before the server was ready.
      throw hasCode(error) ? error : new ConnectionLostError(`connecting for ${purpose}`, error);
    }
    const end = watch(client);
    try {
      const result = await work(client);
      client.release();
      return result;
    } catch (error) {
      if (error instanceof NoProgressError) this.#suspectBeforeMs = performance.now();
      await this.#discard(client, pool === this.#copy);
      throw this.#lost.has(client) && sqlStateOf(error) === null && !hasCode(error)
        ? new ConnectionLostError(purpose, error)
        : error;
    } finally {
      end();
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

/** Where the server does not say what a backend does, it is taken for one at work. */
const WHO_IS_IDLE_SQL = `
  SELECT b.pid, coalesce(a.state_change::text, 'gone') AS since
    FROM unnest($1::int[], $2::text[]) AS b (pid, started_at)
    LEFT JOIN pg_stat_activity a ON a.pid = b.pid AND a.backend_start = b.started_at::timestamptz
   WHERE a.pid IS NULL OR a.state LIKE 'idle%'`;

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
