/**
 * Who may write for a source. Its generation in `ingestion.owner` is the truth: each start raises it, and every COPY and every merge
 * of an earlier start then finds no row and rolls back. The advisory lock (advisory-lock.ts) only gives the friendly message:
 * losing it does no harm.
 */
import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import { StagingLostError, TargetBusyError } from '../../core/errors.ts';
import type { Logger } from '../../core/logging.ts';
import { LOCK_NOT_AVAILABLE, sqlStateOf } from '../postgres/database-errors.ts';
import type { Database } from '../postgres/database.ts';
import { endOrphans } from '../postgres/orphans.ts';
import type { Source } from '../schema/source.ts';
import { STAGING_TABLES, emptyStaging, lockStaging, relationsOf, stagedPages } from '../schema/staging.ts';
import { OwnerLock, readOwnerRow } from './advisory-lock.ts';
import { forgetDeletions } from './target-rows.ts';

/** How long a start waits for a COPY or a merge that is just committing, before it ends the backend that stands in its way. */
const RAISE_LOCK_TIMEOUT_MS = 1_000;
const RAISE_ATTEMPTS = 10;

export interface Ownership {
  readonly source: Source;
  /** Raised by each start, and by {@link renew}. */
  readonly generation: number;
  /** A row of an unlogged table: it is gone when PostgreSQL has emptied staging. */
  readonly epoch: string;
  /** Pages that an earlier start copied and did not merge: merge both staging tables before anything else. */
  readonly leftoverPages: number;
  /**
   * With no COPY or merge of ours under way: raises the generation, and writes a new epoch. Then the walks go on from `ingestion.state`.
   * @param leftovers what becomes of staged pages: after a StagingLostError they are dropped
   * @throws TargetBusyError when another run has taken over.
   */
  renew(leftovers?: 'keep' | 'empty'): Promise<void>;
  release(): Promise<void>;
}

export interface ClaimOptions {
  /** Name of the source. */
  readonly name: string;
  readonly host: string;
  readonly pid: number;
  readonly logger: Logger;
  /** Waits until the source is free, or this is aborted; else another run is waited for but a moment. */
  readonly standby?: AbortSignal | null;
  /**
   * Called under the advisory lock, before the generation is raised: registers the source, and does what needs the target
   * itself, which a merge of another run may hold for as long as it takes.
   */
  readonly prepare: () => Promise<Source>;
}

/**
 * Takes a source and its target: advisory lock, new generation, end of orphans, new epoch. Changes neither rows nor state. The schema
 * must be migrated, and the target must exist after `prepare`.
 * @throws TargetBusyError when another run holds it: host, pid, since when.
 */
export async function claimTarget(db: Database, options: ClaimOptions): Promise<Ownership> {
  const lock = new OwnerLock(db, options.name, options.logger);
  await lock.acquire(options.standby ?? null);
  try {
    const claimed = new ClaimedTarget(db, await options.prepare(), lock, options);
    await claimed.claim();
    return claimed;
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** In a transaction: holds the generation until the transaction ends, or fails. Every write to the state begins with this. */
export async function checkGeneration(client: PoolClient, ownership: Ownership): Promise<void> {
  const { rowCount } = await client.query(
    'SELECT FROM ingestion.owner WHERE source_id = $1 AND generation = $2 FOR SHARE',
    [ownership.source.sourceId, ownership.generation],
  );
  if (rowCount === 0) throw await takenOver(client, ownership);
}

/** In a transaction, after {@link checkGeneration}: fails when a crash of PostgreSQL has emptied staging. */
export async function checkEpoch(client: PoolClient, ownership: Ownership): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM ingestion.staging_epoch WHERE source_id = $1 AND epoch = $2', [
    ownership.source.sourceId,
    ownership.epoch,
  ]);
  if (rowCount === 1) return;
  throw new StagingLostError(
    'PostgreSQL recovered from a crash and emptied the staging tables; going on from what was merged',
  );
}

/**
 * For a write that did not find its generation, its epoch and its staging table together: fails by saying which of them is
 * gone.
 */
export async function failAtFence(client: PoolClient, ownership: Ownership): Promise<never> {
  await checkGeneration(client, ownership);
  await checkEpoch(client, ownership);
  throw new StagingLostError('the staging tables were made anew by somebody else; going on from what was merged');
}

/**
 * Somebody has deleted the row. The time is larger than any generation there was, so that a start of an earlier one that still
 * works finds that it was replaced.
 */
async function remakeOwner(
  client: PoolClient,
  { sourceId }: Source,
  { host, pid, logger }: ClaimOptions,
): Promise<{ generation: string } | undefined> {
  logger.warn('the row of ingestion.owner was gone; it was made again');
  const { rows } = await client.query<{ generation: string }>(
    `INSERT INTO ingestion.owner (source_id, generation, host, pid)
     VALUES ($1, extract(epoch FROM clock_timestamp())::bigint, $2, $3) RETURNING generation`,
    [sourceId, host, pid],
  );
  return rows[0];
}

async function takenOver(client: PoolClient, ownership: Ownership): Promise<TargetBusyError> {
  const owner = await readOwnerRow(client, ownership.source);
  const who =
    owner === null ? '' : ` (${owner.described}, generation ${owner.generation}; ours was ${ownership.generation})`;
  return new TargetBusyError(
    `another run has taken over this target${who}. What this one has merged is safe; the other goes on from there.`,
  );
}

class ClaimedTarget implements Ownership {
  generation = 0;
  epoch = '';
  leftoverPages = 0;
  readonly source: Source;

  readonly #db: Database;
  readonly #lock: OwnerLock;
  readonly #options: ClaimOptions;

  constructor(db: Database, source: Source, lock: OwnerLock, options: ClaimOptions) {
    this.source = source;
    this.#db = db;
    this.#lock = lock;
    this.#options = options;
  }

  async claim(): Promise<void> {
    await this.#raiseGeneration(null);
    // The new generation fences orphans, but their locks would keep the merge of the leftovers waiting.
    const relations = STAGING_TABLES.flatMap((table) => relationsOf(this.source, table));
    await this.#endOrphans(relations, 'works on staging');
    await this.#writeEpoch('keep');
  }

  async renew(leftovers: 'keep' | 'empty' = 'empty'): Promise<void> {
    await this.#raiseGeneration(this.generation);
    await this.#writeEpoch(leftovers);
  }

  async release(): Promise<void> {
    await this.#lock.release();
  }

  /** Waits for transactions that hold the old generation FOR SHARE, and ends an orphan that keeps holding it. */
  async #raiseGeneration(from: number | null): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        this.generation = await this.#db.transaction('start', async (client) => {
          await client.query(`SET LOCAL lock_timeout = ${RAISE_LOCK_TIMEOUT_MS}`);
          const { rows } = await client.query<{ generation: string }>(
            `UPDATE ingestion.owner SET generation = generation + 1, host = $1, pid = $2, since = now()
              WHERE source_id = $4 AND ($3::bigint IS NULL
                 OR generation = $3
                 -- Our own first try, whose COMMIT was never answered.
                 OR (generation = $3 + 1 AND host = $1 AND pid = $2))
             RETURNING generation`,
            [this.#options.host, this.#options.pid, from, this.source.sourceId],
          );
          const raised = rows[0] ?? (from === null ? await remakeOwner(client, this.source, this.#options) : undefined);
          if (raised === undefined) throw await takenOver(client, this);
          return Number(raised.generation);
        });
        return;
      } catch (error) {
        if (sqlStateOf(error) !== LOCK_NOT_AVAILABLE || attempt >= RAISE_ATTEMPTS) throw error;
        // When a start claims a source, only its orphans share this row. When a run renews, its own transactions may.
        if (from === null) await this.#endOrphans(['ingestion.owner'], 'holds the generation');
      }
    }
  }

  /** Of this source alone: sessions of other sources have other names. */
  #endOrphans(relations: readonly string[], why: string): Promise<void> {
    const orphans = { application: `${this.#db.applicationName} `, relations, why };
    return endOrphans(this.#db, orphans, this.#options.logger);
  }

  async #writeEpoch(leftovers: 'keep' | 'empty'): Promise<void> {
    const epoch = randomUUID();
    const { source } = this;
    this.leftoverPages = await this.#db.transaction('start', async (client) => {
      // The very first start finds no epoch either.
      const epochs = 'SELECT FROM ingestion.staging_epoch WHERE source_id = $1';
      const { rowCount } = await client.query(epochs, [source.sourceId]);
      const isEmptied = rowCount === 0 || leftovers === 'empty';
      // What stays is fenced by the generation: readers, like a dump that takes hours, keep no start out.
      if (isEmptied) for (const table of STAGING_TABLES) await lockStaging(client, source, table);
      await checkGeneration(client, this);
      if (isEmptied) for (const table of STAGING_TABLES) await emptyStaging(client, source, table);
      if (rowCount === 0) await forgetDeletions(client, source);
      const pages = await stagedPages(client, source);
      await client.query(
        `INSERT INTO ingestion.staging_epoch (source_id, epoch) VALUES ($1, $2)
         ON CONFLICT (source_id) DO UPDATE SET epoch = excluded.epoch`,
        [source.sourceId, epoch],
      );
      return pages;
    });
    this.epoch = epoch;
  }
}
