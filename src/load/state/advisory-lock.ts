/**
 * The advisory locks of a source, for the friendly message of a second start. They fence nothing: see owner.ts. Up to version
 * 1.0.0 a job held the lock of the database alone. Now all share it: a job of such a version is never at work beside others.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client, ClientBase } from 'pg';
import { TargetBusyError, describeError } from '../../core/errors.ts';
import type { Logger } from '../../core/logging.ts';
import { ConnectionLostError, isExplained } from '../postgres/database-errors.ts';
import type { Database } from '../postgres/database.ts';
import { oneRow } from '../postgres/one-row.ts';
import { findSource, isOf, type Source } from '../schema/source.ts';

/** Keys of the database's lock, and the first key of a source's, whose second is a hash of its name: integers that nobody else is likely to use. */
const DATABASE_KEYS = [0x0da7_a51c, 0x16e5_7e4] as const;
const SOURCE_KEY = 0x0da7_a51d;

/** A condition on `pg_locks` as `l`: somebody works on the source that parameter $1 names, or on all of the database. */
export const IS_WORKED_ON = `l.locktype = 'advisory' AND l.granted
  AND ((l.classid = ${SOURCE_KEY} AND l.objid = hashtext($1)::oid)
    OR (l.classid = ${DATABASE_KEYS[0]} AND l.objid = ${DATABASE_KEYS[1]} AND l.mode = 'ExclusiveLock'))`;
/** The backends of a job that was just killed need a moment to notice. */
const LOCK_PATIENCE_MS = 1_000;
const LOCK_POLL_MS = 100;
/** A standby takes over within seconds. */
const STANDBY_POLL_MS = 500;
const REGAIN_PAUSE_MS = 2_000;
const GOODBYE_MS = 1_000;

/** The server finds within ten seconds that a host is gone, and frees its locks for a standby. A Unix socket has no such thing. */
const NOTICE_DEAD_HOSTS = `SELECT set_config('tcp_keepalives_idle', '4', false), set_config('tcp_keepalives_interval', '2', false),
  set_config('tcp_keepalives_count', '3', false)`;

/** Holds the locks on a connection of its own, and takes them again when that connection is lost. */
export class OwnerLock {
  readonly #db: Database;
  readonly #name: string;
  readonly #logger: Logger;
  #client: Client | null = null;
  #isReleased = false;
  #regainTimer: NodeJS.Timeout | undefined;

  constructor(db: Database, sourceName: string, logger: Logger) {
    this.#db = db;
    this.#name = sourceName;
    this.#logger = logger;
  }

  /**
   * @param standby waits for whoever holds them, until it is aborted; `null`: a moment
   * @throws TargetBusyError when another run holds them: host, pid, since when. The signal's reason
   */
  async acquire(standby: AbortSignal | null): Promise<void> {
    const client = await this.#connect();
    try {
      await this.#untilFree(client, standby);
    } catch (error) {
      await client.end().catch(() => undefined);
      // A client whose session is gone gives no code: a standby waits for the database as everybody does.
      if (standby?.aborted === true || isExplained(error)) throw error;
      throw new ConnectionLostError('waiting for the source', error);
    }
    this.#client = client;
  }

  async #untilFree(client: Client, standby: AbortSignal | null): Promise<void> {
    const askedMs = performance.now();
    const waitedMs = (): number => performance.now() - askedMs;
    let isTold = false;
    for (let busy = await tryLock(client, this.#name); busy !== null; busy = await tryLock(client, this.#name)) {
      if (waitedMs() > LOCK_PATIENCE_MS) {
        const refusal = await this.#refusal(client, busy);
        if (standby === null) throw refusal;
        if (!isTold) this.#logger.info({ reason: refusal.message }, 'standing by until the other process ends');
        isTold = true;
      }
      await delay(isTold ? STANDBY_POLL_MS : LOCK_POLL_MS);
      standby?.throwIfAborted();
    }
    if (isTold) this.#logger.info({ seconds: Math.round(waitedMs() / 1000) }, 'taking over');
  }

  async release(): Promise<void> {
    this.#isReleased = true;
    clearTimeout(this.#regainTimer);
    const client = this.#client;
    this.#client = null;
    if (client === null) return;
    // The goodbye of a connection that is dead without knowing it would never end.
    const limit = setTimeout(() => {
      client.connection.stream.destroy();
    }, GOODBYE_MS);
    // A pooler without server_reset_query would keep them with the session that it hands on.
    await client.query('SELECT pg_advisory_unlock_all()').catch(() => undefined);
    await client.end().catch(() => undefined);
    clearTimeout(limit);
  }

  async #refusal(client: Client, busy: Busy): Promise<TargetBusyError> {
    const source = await findSource(this.#db, busy === 'database' ? 'datasync' : this.#name);
    const owner = source === null ? null : await readOwnerRow(client, source);
    const what =
      busy === 'database'
        ? `a job of version 1.0.0, which shares a database with no other, is working on ${this.#db.described}`
        : `another run is working on the source ${this.#name} in ${this.#db.described}`;
    const who = owner === null ? '' : `: ${owner.described}`;
    return new TargetBusyError(`${what}${who}. Nothing was changed; wait for it, or stop it.`);
  }

  async #connect(): Promise<Client> {
    const client = await this.#db.connections.dedicated('owner', (error) => {
      this.#noteLoss(error);
    });
    await client.query(NOTICE_DEAD_HOSTS);
    return client;
  }

  #noteLoss(error: Error): void {
    if (this.#isReleased || this.#client === null) return;
    this.#client = null;
    const reason = this.#db.redact(describeError(error));
    this.#logger.debug({ reason }, 'lost the advisory lock; the generation still fences');
    this.#scheduleRegain();
  }

  #scheduleRegain(): void {
    this.#regainTimer = setTimeout(() => {
      this.#regain().catch(() => {
        if (!this.#isReleased) this.#scheduleRegain();
      });
    }, REGAIN_PAUSE_MS);
    // The lock alone is no reason to keep the process alive.
    this.#regainTimer.unref();
  }

  async #regain(): Promise<void> {
    const client = await this.#connect();
    const isOurs = (await tryLock(client, this.#name)) === null;
    // Another run that has the lock has also raised the generation, and our next COPY will say so.
    if (isOurs && !this.#isReleased) this.#client = client;
    else await client.end().catch(() => undefined);
  }
}

/** What somebody else holds. */
type Busy = 'database' | 'source';

/** @returns `null` when both locks were had */
async function tryLock(client: Client, sourceName: string): Promise<Busy | null> {
  const { busy } = await oneRow<{ busy: Busy | null }>(
    client,
    `SELECT CASE WHEN NOT pg_try_advisory_lock_shared($1, $2) THEN 'database'
                 WHEN NOT pg_try_advisory_lock($3, hashtext($4)) THEN 'source' END AS busy`,
    [...DATABASE_KEYS, SOURCE_KEY, sourceName],
  );
  return busy;
}

/** Who took the source last; in a database that only earlier versions have used, whoever took all of it. */
export async function readOwnerRow(
  client: ClientBase,
  source: Source,
): Promise<{ generation: string; described: string } | null> {
  const { rows } = await client.query<{ generation: string; described: string }>(
    `SELECT generation, format('process %s on %s, since %s', pid, host, since) AS described
       FROM ingestion.owner WHERE ${isOf('owner', source)}`,
  );
  return rows[0] ?? null;
}
