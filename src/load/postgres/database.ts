/** The one door to PostgreSQL: everything else in `load` gets its connections and transactions here. */
import type { Client, PoolClient, QueryResult, QueryResultRow } from 'pg';
import type { Logger } from '../../core/logging.ts';
import { readDatabaseUrl, type ConnectionSettings } from './connection-settings.ts';
import { Connections, connectionsNeeded } from './connections.ts';
import { DatabaseWaits } from './database-waits.ts';
import { contactServer } from './first-contact.ts';
import { quoteLiteral } from './identifiers.ts';
import { readHolders } from './lock-holders.ts';
import { LockWatch, type WatchedWork } from './lock-watch.ts';
import { Outage } from './outage.ts';
import { explainRefusal } from './server-refusal.ts';
import { defaultTimeouts } from './session.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const FIRST_CONTACT_MS = 15_000;

export interface DatabaseOptions {
  readonly url: string;
  readonly copyConnections: number;
  /** Beginning of `application_name`; what a connection does follows after a space. */
  readonly applicationName: string;
  readonly logger: Logger;
  /** How long {@link Database.persistently} waits for a database that is away. */
  readonly maxWaitMs: number;
  /** Called with the reason when the job begins to wait for the database, and with `null` when it is back. */
  readonly onWaiting?: (waiting: string | null) => void;
  /** Called again and again while the database is away: starts its server, where only the job can do that. */
  readonly revive?: (() => Promise<void>) | undefined;
  /** First contact, milliseconds; 15 s unless given. */
  readonly firstContactMs?: number;
  /** See connection-watch.ts. */
  readonly watchMs?: number;
  /** 10 s unless given. */
  readonly connectTimeoutMs?: number;
}

export class Database {
  /** `user@host:port/database`, for messages. */
  readonly described: string;
  readonly applicationName: string;
  /** For connections outside a transaction, and to end those of others. */
  readonly connections: Connections;

  readonly #settings: ConnectionSettings;
  readonly #outage: Outage;
  readonly #locks: LockWatch;

  private constructor(options: DatabaseOptions, settings: ConnectionSettings, waits: DatabaseWaits) {
    const { connectTimeoutMs = CONNECT_TIMEOUT_MS } = options;
    this.#settings = settings;
    this.#outage = new Outage({
      ...options,
      settings,
      waits,
      lockHolder: (error) => this.#locks.holderOf(error),
      readTimeouts: () => this.connections.use('query', 'reading timeouts', defaultTimeouts),
    });
    this.connections = new Connections({ ...options, settings, connectTimeoutMs, silence: this.#outage });
    this.described = settings.described;
    this.applicationName = options.applicationName;
    this.#locks = new LockWatch({
      ...options,
      waits,
      holdersFor: async (pids, own) => {
        const found = await this.#aside((client) => readHolders(client, pids, own));
        return new Map([...found].map(([pid, held]) => [pid, { ...held, described: settings.redact(held.described) }]));
      },
      cancel: async (pid) => {
        await this.#aside((client) => client.query('SELECT pg_cancel_backend($1)', [pid]));
      },
    });
  }

  /**
   * First contact: tries for 15 s, then checks that this is a server and a database the job can work with.
   * @throws ConfigurationError when it cannot be reached, refuses us, is older than PostgreSQL 13, not UTF-8, or has
   *   too few connections left.
   */
  static async open(options: DatabaseOptions): Promise<Database> {
    const settings = readDatabaseUrl(options.url);
    const { applicationName, copyConnections, connectTimeoutMs = CONNECT_TIMEOUT_MS } = options;
    const waits = new DatabaseWaits(options.onWaiting);
    const needs = { applicationName, connections: connectionsNeeded(copyConnections), timeoutMs: connectTimeoutMs };
    const found = await contactServer(settings, needs, options.firstContactMs ?? FIRST_CONTACT_MS, waits);
    return new Database(options, found, waits);
  }

  /** One statement in a transaction of its own, on a pooled connection. */
  async query<R extends QueryResultRow>(text: string, values?: unknown[]): Promise<QueryResult<R>> {
    const what = 'a query';
    try {
      return await this.#use('query', what, (client) => client.query<R>(text, values));
    } catch (error) {
      throw explainRefusal(error, what, this.#settings);
    }
  }

  /**
   * One transaction; rolled back when `work` throws. `pg_stat_activity` shows it as `<application name> <purpose>`.
   * When it fails, its backend is gone or idle, so that the same work can be tried again at once.
   */
  async transaction<T>(purpose: string, work: (client: PoolClient) => Promise<T>): Promise<T> {
    return this.#use('query', purpose, async (client) => {
      await client.query(`BEGIN; SET LOCAL application_name = ${quoteLiteral(`${this.applicationName} ${purpose}`)}`);
      const result = await work(client);
      await commit(client, purpose);
      return result;
    });
  }

  /** A COPY connection. After any error inside, the connection is thrown away and its backend terminated. */
  async withCopyClient<T>(work: (client: PoolClient, watched: WatchedWork) => Promise<T>): Promise<T> {
    return this.#use('copy', 'a COPY', work);
  }

  /** The same for a COPY to a reader that sets its own pace: the server may wait for us as long as it likes. */
  async withExportClient<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    return this.#use('copy', 'an export', work, false);
  }

  /** Waits for locks are told, and bounded: see lock-watch.ts. */
  #use<T>(
    pool: 'query' | 'copy',
    purpose: string,
    work: (client: PoolClient, watched: WatchedWork) => Promise<T>,
    isWatched = true,
  ): Promise<T> {
    return this.connections.use(
      pool,
      purpose,
      (client, pid) => this.#locks.during(pid, purpose, (watched) => work(client, watched)),
      isWatched,
    );
  }

  /**
   * Waits out an outage: tries `work` with growing pauses, logs the outage once, and gives up after `maxWaitMs`. `work` must
   * be safe to repeat when its outcome is unknown. Errors of any other kind pass through.
   * @throws GaveUpError after `maxWaitMs`, and at once when the disk is full.
   */
  async persistently<T>(what: string, work: () => Promise<T>): Promise<T> {
    return this.#outage.persistently(what, work);
  }

  /** On a connection of its own: those of the pool may all be waiting. */
  async #aside<T>(ask: (client: Client) => Promise<T>): Promise<T> {
    const client = await this.connections.dedicated('lock watch', () => undefined);
    try {
      return await ask(client);
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  /** `text` without the database's password. */
  redact(text: string): string {
    return this.#settings.redact(text);
  }

  /** Waits for the connections that are in use, then closes all. Safe to call twice. */
  async close(): Promise<void> {
    await this.connections.close();
  }
}

/** Commits, and checks it: PostgreSQL answers the COMMIT of a failed transaction with ROLLBACK, not with an error. */
export async function commit(client: PoolClient, purpose: string): Promise<void> {
  const { command } = await client.query('COMMIT');
  if (command !== 'COMMIT') throw new Error(`the transaction of ${purpose} was rolled back by PostgreSQL (${command})`);
}
