/**
 * Connections to the database: two pools, session settings, and what happens to a connection that is lost or silent.
 *
 *   query pool     queries, state writes, merges        at most QUERY_CONNECTIONS
 *   copy pool      one COPY each                        `copyConnections`
 *   dedicated      the advisory lock (advisory-lock.ts)    1
 */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { Client, ClientConfig, PoolClient } from 'pg';
import type { Logger } from '../../core/logging.ts';
import type { ConnectionSettings } from './connection-settings.ts';
import { ConnectionWatch, type Backend, type ServerSilence } from './connection-watch.ts';
import {
  ConnectionLostError,
  NoProgressError,
  PROTOCOL_VIOLATION,
  connectingError,
  isExplained,
  sqlStateOf,
} from './database-errors.ts';
import { beginSession, type Session } from './session.ts';
import { timeStatements } from './statement-age.ts';
import { withinWatchdog } from './watchdog.ts';

const QUERY_CONNECTIONS = 4;
const DEDICATED_CONNECTIONS = 1;
/** How long to wait for a terminated backend to be gone. */
const TERMINATE_WAIT_MS = 10_000;
const TERMINATE_POLL_MS = 20;

export interface ConnectionsOptions {
  readonly settings: ConnectionSettings;
  readonly applicationName: string;
  readonly copyConnections: number;
  readonly connectTimeoutMs: number;
  readonly logger: Logger;
  /** See connection-watch.ts. */
  readonly watchMs?: number;
  readonly silence: ServerSilence;
}

/** How many connections a job has at most. */
export function connectionsNeeded(copyConnections: number): number {
  return copyConnections + QUERY_CONNECTIONS + DEDICATED_CONNECTIONS;
}

export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #pools: Readonly<Record<'query' | 'copy', pg.Pool>>;
  readonly #watch: ConnectionWatch;
  readonly #lost = new WeakSet<object>();
  readonly #sessions = new WeakMap<object, Session>();
  readonly #madeAtMs = new WeakMap<object, number>();
  /** Connections made before this moment may be dead, because one of them was; ms of `performance.now()`. */
  #suspectBeforeMs = 0;
  #closed: Promise<void> | null = null;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
    this.#watch = new ConnectionWatch((backends) => this.#askWhoIsIdle(backends), options.silence, options.watchMs);
    this.#pools = {
      query: this.#openPool('query', QUERY_CONNECTIONS),
      copy: this.#openPool('copy', options.copyConnections),
    };
  }

  /**
   * Lends `work` a connection of a pool, and tells it the process number of its backend. After an error the connection goes back to the pool when a ROLLBACK shows that it
   * is sound; otherwise, and always after a COPY, it is thrown away and its backend ended.
   * @param isWatched false for a server that may wait for us as long as it likes
   */
  async use<T>(
    pool: 'query' | 'copy',
    purpose: string,
    work: (client: PoolClient, pid: number) => Promise<T>,
    isWatched = true,
  ): Promise<T> {
    let client: PoolClient;
    try {
      client = await this.#checkOut(pool);
    } catch (error) {
      throw connectingError(purpose, error);
    }
    const end = isWatched ? this.#watchFor(client) : undefined;
    const endTiming = timeStatements(client);
    try {
      const result = await work(client, this.#sessions.get(client)?.pid ?? 0);
      client.release();
      return result;
    } catch (error) {
      if (error instanceof NoProgressError) this.#suspectBeforeMs = performance.now();
      // A pooler sends its own outages under the SQLSTATE of a field that does not fit its type, and then hangs up.
      const isDoubtful = sqlStateOf(error) === PROTOCOL_VIOLATION;
      const isSound = await this.#discard(client, pool !== 'copy' || isDoubtful, pool !== 'copy');
      const isLost = isDoubtful ? !isSound : this.#lost.has(client) && !isExplained(error);
      throw isLost ? new ConnectionLostError(purpose, error) : error;
    } finally {
      endTiming();
      end?.();
    }
  }

  /** A connection outside the pools. The caller ends it; `onLost` is called when it is lost. */
  async dedicated(purpose: string, onLost: (error: Error) => void): Promise<Client> {
    const client = new pg.Client(this.#clientConfig(purpose));
    client.on('error', onLost);
    try {
      await client.connect();
      await this.#begin(client);
    } catch (error) {
      await client.end().catch(() => undefined);
      throw connectingError(purpose, error);
    }
    return client;
  }

  /**
   * Ends a server process, if it is still there, and waits until it is gone. Never rejects: when the database is away, so is
   * the process.
   */
  async terminate(backend: Backend): Promise<void> {
    const client = await this.#checkOut('query').catch(() => null);
    if (client === null) return;
    const end = this.#watchFor(client);
    try {
      if (!(await isGone(client, backend))) {
        this.#options.logger.warn({ pid: backend.pid }, 'a PostgreSQL backend that lost its connection did not end');
      }
      client.release();
    } catch {
      client.release(true);
    } finally {
      end();
    }
  }

  /** Waits for the connections that are in use, then closes all. Safe to call twice. */
  async close(): Promise<void> {
    const { query, copy } = this.#pools;
    this.#closed ??= Promise.all([query.end(), copy.end()]).then(() => undefined);
    await this.#closed;
  }

  #clientConfig(purpose: string): ClientConfig {
    const { settings, applicationName, connectTimeoutMs } = this.#options;
    return {
      ...settings.config,
      application_name: `${applicationName} ${purpose}`,
      keepAlive: true,
      keepAliveInitialDelayMillis: 30_000,
      connectionTimeoutMillis: connectTimeoutMs,
    };
  }

  #openPool(purpose: string, max: number): pg.Pool {
    const config = this.#clientConfig(purpose);
    const pool = new pg.Pool({
      ...config,
      max,
      // The pool's own connect timeout also limits the wait for a free connection, and back-pressure makes that wait long.
      // So only the client has the timeout.
      connectionTimeoutMillis: 0,
      idleTimeoutMillis: 60_000,
      Client: class extends pg.Client {
        constructor() {
          super(config);
        }
      },
      verify: (client, done) => {
        this.#begin(client).then(() => {
          done();
        }, done);
      },
    });
    // The pool replaces an idle connection that is lost; without a listener the error would end the process.
    pool.on('error', () => undefined);
    pool.on('connect', (client) => {
      this.#madeAtMs.set(client, performance.now());
      // The pool listens only while a client is idle. Without this, a lost socket of a lent one would end the process.
      client.on('error', () => this.#lost.add(client));
    });
    return pool;
  }

  async #begin(client: Client | PoolClient): Promise<void> {
    const { settings, connectTimeoutMs } = this.#options;
    try {
      const begun = beginSession(client, settings.described);
      this.#sessions.set(client, await withinWatchdog('setting up a connection', connectTimeoutMs, begun));
    } catch (error) {
      // The goodbye of a silent connection would never end, and the pool would wait for it.
      client.connection.stream.destroy();
      throw error;
    }
  }

  /** A connection that was made after the last one that turned out to be dead. */
  async #checkOut(pool: 'query' | 'copy'): Promise<PoolClient> {
    for (;;) {
      const client = await this.#pools[pool].connect();
      if ((this.#madeAtMs.get(client) ?? 0) >= this.#suspectBeforeMs) return client;
      client.release(true);
    }
  }

  /** Watches a connection on which an answer of the server is awaited, until the result is called. */
  #watchFor(client: PoolClient): () => void {
    const backend = this.#sessions.get(client)?.backend ?? null;
    if (backend === null) return () => undefined;
    return this.#watch.begin(backend, () => {
      this.#options.logger.debug({ pid: backend.pid }, 'a connection to PostgreSQL is silent: given up');
      this.#suspectBeforeMs = performance.now();
      this.#lost.add(client);
      client.connection.stream.destroy();
    });
  }

  /** See connection-watch.ts. */
  async #askWhoIsIdle(backends: readonly Backend[]): Promise<ReadonlyMap<number, string> | null> {
    let client: Client | null = null;
    try {
      client = await this.dedicated('watch', () => undefined);
      const { rows } = await withinWatchdog(
        'asking who is idle',
        this.#options.connectTimeoutMs,
        client.query<{ pid: number; since: string }>(WHO_IS_IDLE_SQL, [
          backends.map(({ pid }) => pid),
          backends.map(({ startedAt }) => startedAt),
        ]),
      );
      return new Map(rows.map(({ pid, since }) => [pid, since]));
    } catch (error) {
      // The server is there; it may have no connection left.
      if (sqlStateOf(error) !== null) return null;
      throw error;
    } finally {
      client?.connection.stream.destroy();
    }
  }

  /** @returns whether it was asked and is sound: it answered a ROLLBACK */
  async #discard(client: PoolClient, isAsked: boolean, isKept: boolean): Promise<boolean> {
    const rollback = async (): Promise<boolean> =>
      client.query('ROLLBACK').then(
        () => true,
        () => false,
      );
    const isSound = isAsked && !this.#lost.has(client) && (await rollback());
    if (isSound && isKept) {
      client.release();
      return true;
    }
    const backend = this.#sessions.get(client)?.backend ?? null;
    client.release(true);
    // Nothing is tried again once the wait for the database is over.
    const isTriedAgain = this.#closed === null && !this.#options.silence.isOverdue;
    if (backend !== null && isTriedAgain) await this.terminate(backend);
    return isSound;
  }
}

/** Ends `backend` and waits for it; false when it is still there after {@link TERMINATE_WAIT_MS}. */
async function isGone(client: PoolClient, backend: Backend): Promise<boolean> {
  const deadlineMs = performance.now() + TERMINATE_WAIT_MS;
  while (performance.now() < deadlineMs) {
    const { rowCount } = await client.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2::timestamptz`,
      [backend.pid, backend.startedAt],
    );
    if (rowCount === 0) return true;
    await delay(TERMINATE_POLL_MS);
  }
  return false;
}

/** A backend whose state the server does not show counts as one at work. */
const WHO_IS_IDLE_SQL = `
  SELECT b.pid, coalesce(a.state_change::text, 'gone') AS since
    FROM unnest($1::int[], $2::text[]) AS b (pid, started_at)
    LEFT JOIN pg_stat_activity a ON a.pid = b.pid AND a.backend_start = b.started_at::timestamptz
   WHERE a.pid IS NULL OR a.state LIKE 'idle%'`;
