/**
 * Who may write. The generation in `ingestion.owner` is the truth: each start raises it, and every COPY and every merge
 * of an earlier one finds no row and rolls back. The advisory lock only gives the friendly message, and losing it is no
 * harm: it is taken again when the database is there.
 */
import { randomUUID } from 'node:crypto';
import type { Client, PoolClient } from 'pg';
import { StagingLostError, TargetBusyError, describeError } from '../../core/errors.ts';
import type { Logger } from '../../core/logging.ts';
import { sqlStateOf } from '../postgres/database-errors.ts';
import { quoteLiteral } from '../postgres/identifiers.ts';
import type { Backend, Database } from '../postgres/database.ts';
import { STAGING_TABLES, stagingNames } from '../schema/staging.ts';

/** Key of the advisory lock; one a database, so two integers that nobody else is likely to use. */
export const LOCK_KEYS = [0x0da7_a51c, 0x16e5_7e4] as const;
/** A job that was just killed: its backends need a moment to notice. */
const LOCK_PATIENCE_MS = 1_000;
const LOCK_POLL_MS = 100;
const REGAIN_PAUSE_MS = 2_000;
const GOODBYE_MS = 1_000;
/** How long a start waits for a COPY or a merge that is just committing, before it ends the backend that stands in its way. */
const RAISE_LOCK_TIMEOUT_MS = 1_000;
const RAISE_ATTEMPTS = 10;

export interface Ownership {
  /** Raised by each start, and by {@link renew}. */
  readonly generation: number;
  /** In the unlogged one-row table; gone when PostgreSQL emptied staging. */
  readonly epoch: string;
  /** Pages an earlier start copied and did not merge: merge both staging tables before anything else. */
  readonly leftoverPages: number;
  /** An earlier start's staging was emptied by a crash of PostgreSQL. */
  readonly stagingLost: boolean;
  /**
   * After a StagingLostError, with no load or merge of ours under way: raises the generation, empties what is left of
   * staging and writes a new epoch. Then the walks go on from `ingestion.state`.
   * @throws TargetBusyError when another run has taken over.
   */
  renew(): Promise<void>;
  release(): Promise<void>;
}

export interface ClaimOptions {
  readonly host: string;
  readonly pid: number;
  readonly logger: Logger;
  /**
   * Done under the lock, before the generation is raised: what needs the target itself, which a merge of another run may
   * hold for as long as it takes.
   */
  readonly prepare?: () => Promise<void>;
}

/**
 * Takes the target: advisory lock, new generation, end of orphaned backends, new epoch. Changes neither rows nor state.
 * The schema must be migrated, and the target must exist once it is prepared.
 * @throws TargetBusyError when another run holds it: host, pid, since when.
 */
export async function claimTarget(db: Database, options: ClaimOptions): Promise<Ownership> {
  const lock = new OwnerLock(db, options.logger);
  await lock.acquire();
  try {
    await options.prepare?.();
    const claimed = new ClaimedTarget(db, lock, options);
    await claimed.claim();
    return claimed;
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** In a transaction: holds the generation until its end, or fails. Every write to the state goes through here. */
export async function checkGeneration(client: PoolClient, ownership: Ownership): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM ingestion.owner WHERE generation = $1 FOR SHARE', [
    ownership.generation,
  ]);
  if (rowCount === 0) throw await takenOver(client, ownership);
}

/** In a transaction, after {@link checkGeneration}: fails when a crash of PostgreSQL has emptied staging. */
export async function checkEpoch(client: PoolClient, ownership: Ownership): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM ingestion.staging_epoch WHERE epoch = $1', [ownership.epoch]);
  if (rowCount === 0) throw stagingLost();
}

/** For a write that found no owner row of its generation with its epoch: which of the two was it? */
export async function diagnoseFence(client: PoolClient, ownership: Ownership): Promise<Error> {
  try {
    await checkGeneration(client, ownership);
    await checkEpoch(client, ownership);
  } catch (error) {
    if (error instanceof Error) return error;
  }
  return stagingLost();
}

async function takenOver(client: PoolClient, ownership: Ownership): Promise<TargetBusyError> {
  const { rows } = await client.query<OwnerRow>('SELECT generation, host, pid, since::text FROM ingestion.owner');
  const owner = rows[0];
  return new TargetBusyError(
    `another run has taken over this target${owner === undefined ? '' : ` (${describeOwner(owner)}, generation ${owner.generation}; ours was ${ownership.generation})`}. ` +
      'What this one has merged is safe; the other goes on from there.',
  );
}

function stagingLost(): StagingLostError {
  return new StagingLostError(
    'PostgreSQL recovered from a crash and emptied the staging tables; going on from what was merged',
  );
}

interface OwnerRow {
  generation: string;
  host: string;
  pid: number;
  since: string;
}

function describeOwner(owner: OwnerRow): string {
  return `process ${owner.pid} on ${owner.host}, since ${owner.since}`;
}

class ClaimedTarget implements Ownership {
  generation = 0;
  epoch = '';
  leftoverPages = 0;
  stagingLost = false;

  readonly #db: Database;
  readonly #lock: OwnerLock;
  readonly #who: { readonly host: string; readonly pid: number; readonly logger: Logger };

  constructor(
    db: Database,
    lock: OwnerLock,
    who: { readonly host: string; readonly pid: number; readonly logger: Logger },
  ) {
    this.#db = db;
    this.#lock = lock;
    this.#who = who;
  }

  async claim(): Promise<void> {
    await this.#raiseGeneration(null);
    await this.#endOrphans();
    await this.#writeEpoch('keep');
  }

  async renew(): Promise<void> {
    await this.#raiseGeneration(this.generation);
    await this.#writeEpoch('empty');
    this.leftoverPages = 0;
  }

  async release(): Promise<void> {
    await this.#lock.release();
  }

  /** Waits for whoever holds the old generation FOR SHARE; an orphan that sits on it is ended. */
  async #raiseGeneration(from: number | null): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        this.generation = await this.#db.transaction('start', async (client) => {
          await client.query(`SET LOCAL lock_timeout = ${RAISE_LOCK_TIMEOUT_MS}`);
          const { rows } = await client.query<{ generation: string }>(
            `UPDATE ingestion.owner SET generation = generation + 1, host = $1, pid = $2, since = now()
              WHERE $3::bigint IS NULL
                 OR generation = $3
                 -- A first try whose COMMIT was never answered: it is ours all the same.
                 OR (generation = $3 + 1 AND host = $1 AND pid = $2)
             RETURNING generation`,
            [this.#who.host, this.#who.pid, from],
          );
          const raised = rows[0];
          if (raised === undefined) throw await takenOver(client, this);
          return Number(raised.generation);
        });
        return;
      } catch (error) {
        if (sqlStateOf(error) !== '55P03' || attempt >= RAISE_ATTEMPTS) throw error;
        // Only COPYs and merges of an earlier start share-lock this row, besides a `renew` of our own run's.
        if (from === null) await this.#end(HOLDERS_OF_OWNER_SQL, 'holds the generation');
      }
    }
  }

  /** Backends of a dead start: fenced now, but their locks would keep the merge of the leftovers waiting. */
  async #endOrphans(): Promise<void> {
    await this.#end(HOLDERS_OF_STAGING_SQL, 'works on staging');
  }

  async #end(holdersSql: string, why: string): Promise<void> {
    const { rows } = await this.#db.query<Backend>(holdersSql, [`${this.#db.applicationName} %`]);
    for (const backend of rows) {
      this.#who.logger.info({ pid: backend.pid, why }, 'ending a backend that an earlier start left behind');
      await this.#db.terminateBackend(backend);
    }
  }

  async #writeEpoch(leftovers: 'keep' | 'empty'): Promise<void> {
    const epoch = randomUUID();
    await this.#db.transaction('start', async (client) => {
      for (const table of STAGING_TABLES) {
        const names = stagingNames(table);
        await client.query(`LOCK TABLE ${names.rows}, ${names.ledger}, ${names.anomalies} IN ACCESS EXCLUSIVE MODE`);
      }
      await checkGeneration(client, this);
      const { rowCount } = await client.query('SELECT FROM ingestion.staging_epoch');
      const lost = rowCount === 0;
      if (lost || leftovers === 'empty') {
        for (const table of STAGING_TABLES) {
          const names = stagingNames(table);
          await client.query(`TRUNCATE ${names.rows}, ${names.ledger}, ${names.anomalies}`);
        }
      }
      const { rows } = await client.query<{ pages: number }>(
        `SELECT ((SELECT count(*) FROM ${stagingNames('a').ledger}) + (SELECT count(*) FROM ${stagingNames('b').ledger}))::int AS pages`,
      );
      await client.query(
        `INSERT INTO ingestion.staging_epoch (epoch) VALUES ($1) ON CONFLICT (one_row) DO UPDATE SET epoch = excluded.epoch`,
        [epoch],
      );
      this.leftoverPages = rows[0]?.pages ?? 0;
      // The first start of all finds no epoch either.
      this.stagingLost = lost && this.generation > 1;
    });
    this.epoch = epoch;
  }
}

const HOLDERS_OF_STAGING_SQL = `
  SELECT DISTINCT s.pid, s.backend_start::text AS "startedAt"
    FROM pg_locks l JOIN pg_stat_activity s ON s.pid = l.pid
   WHERE l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
     AND l.relation IN (${STAGING_TABLES.flatMap((table) => {
       const names = stagingNames(table);
       return [names.rows, names.ledger, names.anomalies].map((name) => `to_regclass(${quoteLiteral(name)})`);
     }).join(', ')})
     -- Whoever only reads (a person, the status command) is left alone.
     AND l.mode IN ('RowExclusiveLock', 'ShareLock', 'ExclusiveLock', 'AccessExclusiveLock')
     AND s.application_name LIKE $1 AND s.pid <> pg_backend_pid()`;

const HOLDERS_OF_OWNER_SQL = `
  SELECT DISTINCT s.pid, s.backend_start::text AS "startedAt"
    FROM pg_locks l JOIN pg_stat_activity s ON s.pid = l.pid
   WHERE l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
     AND l.relation = to_regclass('ingestion.owner') AND l.mode IN ('RowShareLock', 'RowExclusiveLock')
     AND s.application_name LIKE $1 AND s.pid <> pg_backend_pid()`;

/** The advisory lock, on a connection of its own, taken again when that is lost. */
class OwnerLock {
  readonly #db: Database;
  readonly #logger: Logger;
  #client: Client | null = null;
  #released = false;
  #regainTimer: NodeJS.Timeout | null = null;

  constructor(db: Database, logger: Logger) {
    this.#db = db;
    this.#logger = logger;
  }

  async acquire(): Promise<void> {
    const deadlineMs = Date.now() + LOCK_PATIENCE_MS;
    const client = await this.#connect();
    for (;;) {
      if (await this.#tryLock(client)) {
        this.#client = client;
        return;
      }
      if (Date.now() > deadlineMs) break;
      await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MS));
    }
    const { rows } = await client.query<OwnerRow>('SELECT generation, host, pid, since::text FROM ingestion.owner');
    await client.end().catch(() => undefined);
    const owner = rows[0];
    throw new TargetBusyError(
      `another run is working on ${this.#db.described}${owner === undefined ? '' : `: ${describeOwner(owner)}`}. ` +
        'Nothing was changed; wait for it, or stop it.',
    );
  }

  async release(): Promise<void> {
    this.#released = true;
    if (this.#regainTimer !== null) clearTimeout(this.#regainTimer);
    const client = this.#client;
    this.#client = null;
    if (client === null) return;
    // A connection that is dead without knowing it would never say goodbye.
    const limit = setTimeout(() => {
      client.connection.stream.destroy();
    }, GOODBYE_MS);
    await client.end().catch(() => undefined);
    clearTimeout(limit);
  }

  async #connect(): Promise<Client> {
    return this.#db.dedicatedClient('owner', (error) => {
      this.#lost(error);
    });
  }

  async #tryLock(client: Client): Promise<boolean> {
    const { rows } = await client.query<{ locked: boolean }>('SELECT pg_try_advisory_lock($1, $2) AS locked', [
      ...LOCK_KEYS,
    ]);
    return rows[0]?.locked === true;
  }

  #lost(error: Error): void {
    if (this.#released || this.#client === null) return;
    this.#client = null;
    this.#logger.debug(
      { reason: this.#db.redact(describeError(error)) },
      'lost the advisory lock; the generation still fences',
    );
    this.#scheduleRegain();
  }

  #scheduleRegain(): void {
    this.#regainTimer = setTimeout(() => {
      this.#regain().catch(() => {
        if (!this.#released) this.#scheduleRegain();
      });
    }, REGAIN_PAUSE_MS);
    // Waiting to be polite is no reason to keep the process alive.
    this.#regainTimer.unref();
  }

  async #regain(): Promise<void> {
    const client = await this.#connect();
    // When somebody else has it, the generation is theirs too, and the next COPY says so.
    if (this.#isReleased() || !(await this.#tryLock(client))) {
      await client.end().catch(() => undefined);
      return;
    }
    this.#client = client;
  }

  #isReleased(): boolean {
    return this.#released;
  }
}
