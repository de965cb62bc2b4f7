/** The advisory lock of a target, for the friendly message of a second start. It fences nothing: see owner.ts. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client, ClientBase } from 'pg';
import { TargetBusyError, describeError } from '../../core/errors.ts';
import type { Logger } from '../../core/logging.ts';
import type { Database } from '../postgres/database.ts';
import { oneRow } from '../postgres/one-row.ts';

/** Key of the lock, one a database: two integers that nobody else is likely to use. */
export const LOCK_KEYS = [0x0da7_a51c, 0x16e5_7e4] as const;
/** The backends of a job that was just killed need a moment to notice. */
const LOCK_PATIENCE_MS = 1_000;
const LOCK_POLL_MS = 100;
const REGAIN_PAUSE_MS = 2_000;
const GOODBYE_MS = 1_000;

/** Holds the lock on a connection of its own, and takes it again when that connection is lost. */
export class OwnerLock {
  readonly #db: Database;
  readonly #logger: Logger;
  #client: Client | null = null;
  #isReleased = false;
  #regainTimer: NodeJS.Timeout | undefined;

  constructor(db: Database, logger: Logger) {
    this.#db = db;
    this.#logger = logger;
  }

  /** @throws TargetBusyError when another run holds it: host, pid, since when. */
  async acquire(): Promise<void> {
    const deadlineMs = performance.now() + LOCK_PATIENCE_MS;
    const client = await this.#connect();
    while (!(await tryLock(client))) {
      if (performance.now() > deadlineMs) throw await this.#refusal(client);
      await delay(LOCK_POLL_MS);
    }
    this.#client = client;
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
    // A pooler without server_reset_query would keep it with the session that it hands on.
    await client.query('SELECT pg_advisory_unlock($1, $2)', [...LOCK_KEYS]).catch(() => undefined);
    await client.end().catch(() => undefined);
    clearTimeout(limit);
  }

  async #refusal(client: Client): Promise<TargetBusyError> {
    const owner = await readOwnerRow(client);
    await client.end().catch(() => undefined);
    return new TargetBusyError(
      `another run is working on ${this.#db.described}${owner === null ? '' : `: ${owner.described}`}. ` +
        'Nothing was changed; wait for it, or stop it.',
    );
  }

  async #connect(): Promise<Client> {
    return this.#db.connections.dedicated('owner', (error) => {
      this.#noteLoss(error);
    });
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
    const isOurs = await tryLock(client);
    // Another run that has the lock has also raised the generation, and our next COPY will say so.
    if (isOurs && !this.#isReleased) this.#client = client;
    else await client.end().catch(() => undefined);
  }
}

async function tryLock(client: Client): Promise<boolean> {
  const sql = 'SELECT pg_try_advisory_lock($1, $2) AS locked';
  const { locked } = await oneRow<{ locked: boolean }>(client, sql, [...LOCK_KEYS]);
  return locked;
}

/** Who wrote `ingestion.owner` last. */
export async function readOwnerRow(client: ClientBase): Promise<{ generation: string; described: string } | null> {
  const { rows } = await client.query<{ generation: string; described: string }>(
    `SELECT generation, format('process %s on %s, since %s', pid, host, since) AS described FROM ingestion.owner`,
  );
  return rows[0] ?? null;
}
