/**
 * Staging → `ingested_events`, ledger → `ingestion.state`, in one transaction: the only place where the job's progress
 * becomes durable, together with the rows it speaks of. Locks are taken in the order that staging.ts gives.
 */
import type { PoolClient } from 'pg';
import type { Logger } from '../../core/logging.ts';
import { classifyDatabaseError } from '../postgres/database-errors.ts';
import { EMPTY_TARGET_MERGE_RELATIONS, EmptyTargetMerge } from './empty-target-merge.ts';
import { mergeInOrder } from './later-merge.ts';
import { addToBooks, countDoubledInChain, countRejectedAgainInChain, foldLedger, sumLedger } from './ledger-fold.ts';
import type { LedgerSums, MergeBooks } from './ledger-fold.ts';
import type { MergeScope, OnConflict } from './merge-sql.ts';
import { exactlyOnce } from '../postgres/outcome.ts';
import { checkEpoch, checkGeneration } from '../state/owner.ts';
import type { Ownership } from '../state/owner.ts';
import type { Database } from '../postgres/database.ts';
import { mergeAllButRefused } from './refused-in-merge.ts';
import { TARGET } from '../schema/ingested-events.ts';
import { STAGING_TABLES, stagingNames } from '../schema/staging.ts';
import type { StagingNames, StagingTable } from '../schema/staging.ts';

export type { OnConflict } from './merge-sql.ts';

export interface StagedPages {
  readonly table: StagingTable;
  /** Acknowledged since the table was last empty. */
  readonly pages: number;
}

/**
 * The last pages of a load, which came while its first ones were being merged; `null` when they are not to be waited for. Asked
 * again, when the merge has to begin anew, it gives the same answer.
 */
export type LatePages = () => Promise<StagedPages | null>;

export interface MergeResult {
  /** What was merged: the table asked for, and perhaps the one with the rest. */
  readonly tables: readonly StagingTable[];
  readonly pages: number;
  readonly served: number;
  readonly loaded: number;
  readonly inserted: number;
  readonly updated: number;
  readonly duplicates: number;
  readonly rejected: number;
  readonly repaired: number;
  /** See `countDoubledInChain` (part of `duplicates`) and `countRejectedAgainInChain` (part of `rejected`). */
  readonly servedTwiceInChain: number;
  readonly seconds: number;
  /** Went into an empty target without its index. */
  readonly isInitialMerge: boolean;
}

export interface MergerOptions {
  readonly db: Database;
  readonly ownership: Ownership;
  readonly runId: number;
  readonly onConflict: OnConflict;
  readonly logger: Logger;
}

type ExpectedPages = Pick<StagedPages, 'table'> & { readonly pages: number | null };

/** A staging table that is locked, and the sums of its ledger. */
interface LockedStaging {
  readonly table: StagingTable;
  readonly names: StagingNames;
  readonly sums: LedgerSums;
}

interface Moved {
  readonly merged: readonly LockedStaging[];
  readonly inserted: number;
  readonly updated: number;
  readonly refused: number;
  readonly isInitialMerge: boolean;
  /** As {@link EmptyTargetMerged} says. */
  readonly passedOver: number | null;
  readonly doubles: string | null;
}

export class Merger {
  readonly #options: MergerOptions;

  constructor(options: MergerOptions) {
    this.#options = options;
  }

  /**
   * Merges one staging table. No page may be assigned to it that is not acknowledged; pages of the other one may be
   * copied meanwhile. Waits out an outage, and finds out whether a merge whose COMMIT was not answered happened.
   * @param expectedPages pages acknowledged since the table was last empty; `null` for what an earlier start left.
   * @param rest for a load of an empty target that is about to end: asked when the rows of this table are in, and what it
   *   gives is merged with them. Not asked when the target is not empty, or refuses a row.
   * @throws StagingLostError, TargetBusyError, GaveUpError; Error when the ledger lacks acknowledged pages.
   */
  async merge(table: StagingTable, expectedPages: number | null, rest?: LatePages): Promise<MergeResult> {
    const { db, logger } = this.#options;
    const startedMs = performance.now();
    const merged = await exactlyOnce(db, 'merge', (client) =>
      this.#merge(client, { table, pages: expectedPages }, rest),
    );
    const result = { ...merged, seconds: (performance.now() - startedMs) / 1000 };
    logger.debug(result, 'merged');
    return result;
  }

  /**
   * Merges what an earlier start copied and did not merge; nothing is being copied. The table with the earlier pages comes
   * first: merged before them, later ones would lie behind a gap, be counted as unsafe and be asked for again.
   */
  async mergeLeftovers(): Promise<void> {
    const { db } = this.#options;
    const { rows } = await db.persistently('looking at what is staged', () =>
      db.query<{ reversed: boolean }>(
        `SELECT EXISTS (SELECT FROM ${stagingNames('a').ledger} a JOIN ${stagingNames('b').ledger} b
                         USING (run_id, window_id) WHERE a.page > b.page) AS reversed`,
      ),
    );
    const tables = rows[0]?.reversed === true ? STAGING_TABLES.toReversed() : STAGING_TABLES;
    for (const table of tables) await this.merge(table, null);
  }

  /** What both staging tables take on disk now, bytes. */
  async stagingBytes(): Promise<number> {
    const sizes = STAGING_TABLES.map((table) => `pg_total_relation_size('${stagingNames(table).rows}')`);
    const { rows } = await this.#options.db.query<{ bytes: string }>(`SELECT ${sizes.join(' + ')} AS bytes`);
    return Number(rows[0]?.bytes ?? 0);
  }

  async #merge(
    client: PoolClient,
    staged: ExpectedPages,
    rest: LatePages | undefined,
  ): Promise<Omit<MergeResult, 'seconds'>> {
    const { ownership } = this.#options;
    await lockStaging(client, staged.table);
    await checkGeneration(client, ownership);
    await checkEpoch(client, ownership);
    const moved = await this.#move(client, await this.#readSums(client, staged), rest);
    const { merged } = moved;
    const sumOf = (figure: 'pages' | 'served' | 'loaded' | 'rejected' | 'repaired'): number =>
      merged.reduce((sum, { sums }) => sum + sums[figure], 0);
    await checkRows(client, moved, sumOf('loaded'));
    const loaded = sumOf('loaded') - moved.refused;
    const duplicates = loaded - moved.inserted - moved.updated;
    const names = merged.map((staging) => staging.names);
    let servedTwiceInChain = duplicates > 0 ? await countDoubledInChain(client, names, moved.doubles) : 0;
    for (const relation of EMPTY_TARGET_MERGE_RELATIONS) await client.query(`DROP TABLE IF EXISTS ${relation}`);
    for (const staging of merged) {
      if (staging.sums.rejected > 0) servedTwiceInChain += await countRejectedAgainInChain(client, staging.names);
      await foldLedger(client, staging.names);
      await moveAnomalies(client, staging.names);
    }
    let books = {
      inserted: moved.inserted,
      updated: moved.updated,
      refused: moved.refused,
      duplicates,
      servedTwiceInChain,
    };
    for (const staging of merged) {
      await addToBooks(client, staging.names, books);
      await client.query(`TRUNCATE ${staging.names.rows}, ${staging.names.ledger}, ${staging.names.anomalies}`);
      books = NOTHING_MORE;
    }
    return {
      tables: merged.map(({ table }) => table),
      pages: sumOf('pages'),
      served: sumOf('served'),
      loaded,
      inserted: moved.inserted,
      updated: moved.updated,
      duplicates,
      rejected: sumOf('rejected') + moved.refused,
      repaired: sumOf('repaired'),
      servedTwiceInChain,
      isInitialMerge: moved.isInitialMerge,
    };
  }

  async #readSums(client: PoolClient, { table, pages }: ExpectedPages): Promise<LockedStaging> {
    const names = stagingNames(table);
    const sums = await sumLedger(client, names);
    checkPages(sums, pages, table, this.#options.logger);
    return { table, names, sums };
  }

  async #move(client: PoolClient, staging: LockedStaging, rest: LatePages | undefined): Promise<Moved> {
    const { runId, onConflict } = this.#options;
    const nothing = { merged: [staging], inserted: 0, updated: 0, refused: 0, isInitialMerge: false, ...NOT_LOOKED_AT };
    if (staging.sums.loaded === 0) return nothing;
    const scope: MergeScope = { names: staging.names, onConflict, runId: staging.sums.runId ?? runId };
    // A deferred constraint would speak up at COMMIT only, when no row can be set aside any more, and keep the key from
    // being built.
    await client.query('SET CONSTRAINTS ALL IMMEDIATE; SAVEPOINT move');
    try {
      const first = await EmptyTargetMerge.begin(client, scope);
      if (first === null) return { ...nothing, ...(await mergeInOrder(client, scope)) };
      const merged = [staging];
      await first.add(staging.names, rest === undefined);
      const more = (await rest?.()) ?? null;
      if (more !== null) {
        await lockStaging(client, more.table);
        const last = await this.#readSums(client, more);
        await first.add(last.names, true);
        merged.push(last);
      }
      return { ...nothing, ...(await first.complete()), merged, isInitialMerge: true };
    } catch (error) {
      if (classifyDatabaseError(error) !== 'data') throw error;
      // The lock on the table with the rest is gone with it: that one is merged by itself.
      await client.query('ROLLBACK TO SAVEPOINT move');
      return { ...nothing, ...(await mergeAllButRefused(client, scope)) };
    }
  }
}

/** Statistics of the target, for the people who query it; after the last merge of a run. */
export async function analyzeTarget(db: Database): Promise<void> {
  await db.persistently('analysing the target', () => db.query(`ANALYZE ${TARGET}`));
}

const NOT_LOOKED_AT = { passedOver: null, doubles: null };
const NOTHING_MORE: MergeBooks = { inserted: 0, updated: 0, refused: 0, duplicates: 0, servedTwiceInChain: 0 };

async function lockStaging(client: PoolClient, table: StagingTable): Promise<void> {
  const { rows, ledger, anomalies } = stagingNames(table);
  await client.query(`LOCK TABLE ${rows}, ${ledger}, ${anomalies} IN ACCESS EXCLUSIVE MODE`);
}

function checkPages(sums: LedgerSums, expectedPages: number | null, table: StagingTable, logger: Logger): void {
  if (expectedPages === null || sums.pages === expectedPages) return;
  if (sums.pages < expectedPages) {
    throw new Error(
      `staging table ${table} has the ledger of ${sums.pages} pages, and ${expectedPages} were acknowledged: ` +
        'not merged, so that nothing is counted as safe that is not there',
    );
  }
  // A page whose COPY was given up without knowing that it had committed: its rows are there, and so is its ledger row.
  logger.debug({ table, ledger: sums.pages, acknowledged: expectedPages }, 'staging has more pages than acknowledged');
}

/** `duplicates` is what is left over, so rows that staging lost would pass for duplicates: count them. */
async function checkRows(client: PoolClient, moved: Moved, loaded: number): Promise<void> {
  if (moved.inserted + (moved.passedOver ?? 0) === loaded) return;
  for (const { names, sums } of moved.merged) {
    const { rows } = await client.query<{ staged: number }>(`SELECT count(*)::int AS staged FROM ${names.rows}`);
    const staged = rows[0]?.staged ?? 0;
    if (staged !== sums.loaded) {
      throw new Error(`${names.rows} has ${staged} rows, and its ledger says ${sums.loaded}: not merged`);
    }
  }
}

/** Once however often it was served, at its first place in the newest window: there the next one of the chain looks for it. */
async function moveAnomalies(client: PoolClient, names: StagingNames): Promise<void> {
  await client.query(
    `INSERT INTO ingestion.anomaly AS a (run_id, window_id, page, position, event_id, kind, field, reason, original)
     SELECT run_id, window_id, page, position, event_id, kind, field, reason, original FROM (
       SELECT DISTINCT ON (run_id, sha256(original), md5(field), md5(reason)) * FROM ${names.anomalies}
        ORDER BY run_id, sha256(original), md5(field), md5(reason), window_id DESC, page, position
     ) first ORDER BY run_id, window_id, page, position
     ON CONFLICT (run_id, sha256(original), md5(field), md5(reason)) DO UPDATE
       SET window_id = excluded.window_id, page = excluded.page, position = excluded.position
       WHERE excluded.kind = 'rejected' AND a.window_id < excluded.window_id`,
  );
}
