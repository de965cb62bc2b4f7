/**
 * Staging → `ingested_events`, ledger → `ingestion.state`, in one transaction: the only place where the job's progress
 * becomes durable, together with the rows it speaks of. Locks are taken in the order that staging.ts gives.
 */
import type { PoolClient } from 'pg';
import type { Logger } from '../core/logging.ts';
import { classifyDatabaseError } from './database-errors.ts';
import { FIRST_LOAD_RELATIONS, loadEmptyTarget } from './first-load.ts';
import { mergeInOrder } from './later-merge.ts';
import { addToBooks, countDoubledInChain, countRejectedAgainInChain, foldLedger, sumLedger } from './ledger-fold.ts';
import type { LedgerSums } from './ledger-fold.ts';
import type { MergeScope, OnConflict } from './merge-sql.ts';
import { exactlyOnce } from './outcome.ts';
import { checkEpoch, checkGeneration } from './owner.ts';
import type { Ownership } from './owner.ts';
import type { Database } from './postgres.ts';
import { mergeAllButRefused } from './refused-in-merge.ts';
import { TARGET } from './schema/ingested-events.ts';
import { STAGING_TABLES, stagingNames } from './staging.ts';
import type { StagingNames, StagingTable } from './staging.ts';

export type { OnConflict } from './merge-sql.ts';

export interface MergeResult {
  readonly pages: number;
  readonly served: number;
  readonly loaded: number;
  readonly inserted: number;
  readonly updated: number;
  readonly duplicates: number;
  readonly rejected: number;
  readonly repaired: number;
  /** See `countDoubledInChain` (part of `duplicates`) and `countRejectedAgainInChain` (part of `rejected`). */
  readonly doubledInChain: number;
  readonly seconds: number;
  /** Went into an empty target without its index. */
  readonly firstLoad: boolean;
}

export interface MergerOptions {
  readonly db: Database;
  readonly ownership: Ownership;
  readonly runId: number;
  readonly onConflict: OnConflict;
  readonly logger: Logger;
}

interface Moved {
  readonly inserted: number;
  readonly updated: number;
  readonly refused: number;
  readonly firstLoad: boolean;
  /** As {@link FirstLoad} says. */
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
   * @throws StagingLostError, TargetBusyError, GaveUpError; Error when the ledger lacks acknowledged pages.
   */
  async merge(table: StagingTable, expectedPages: number | null): Promise<MergeResult> {
    const { db, logger } = this.#options;
    const startedMs = performance.now();
    const merged = await exactlyOnce(db, 'merge', (client) => this.#merge(client, table, expectedPages));
    const result = { ...merged, seconds: (performance.now() - startedMs) / 1000 };
    logger.debug({ table, ...result }, 'merged');
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
    table: StagingTable,
    expectedPages: number | null,
  ): Promise<Omit<MergeResult, 'seconds'>> {
    const { ownership, runId, onConflict, logger } = this.#options;
    const names = stagingNames(table);
    await client.query(`LOCK TABLE ${names.rows}, ${names.ledger}, ${names.anomalies} IN ACCESS EXCLUSIVE MODE`);
    await checkGeneration(client, ownership);
    await checkEpoch(client, ownership);
    const sums = await sumLedger(client, names);
    checkPages(sums, expectedPages, table, logger);
    const scope: MergeScope = { names, onConflict, runId: sums.runId ?? runId, loaded: sums.loaded };
    const moved = sums.loaded === 0 ? NOTHING_MOVED : await moveRows(client, scope);
    await checkRows(client, scope, moved);
    const loaded = sums.loaded - moved.refused;
    const duplicates = loaded - moved.inserted - moved.updated;
    const doubledRows = duplicates > 0 ? await countDoubledInChain(client, names, moved.doubles) : 0;
    const doubledRejected = sums.rejected > 0 ? await countRejectedAgainInChain(client, names) : 0;
    const doubledInChain = doubledRows + doubledRejected;
    for (const relation of FIRST_LOAD_RELATIONS) await client.query(`DROP TABLE IF EXISTS ${relation}`);
    await foldLedger(client, names);
    await addToBooks(client, names, { ...moved, duplicates, doubledInChain });
    await moveAnomalies(client, names);
    await client.query(`TRUNCATE ${names.rows}, ${names.ledger}, ${names.anomalies}`);
    return {
      pages: sums.pages,
      served: sums.served,
      loaded,
      inserted: moved.inserted,
      updated: moved.updated,
      duplicates,
      rejected: sums.rejected + moved.refused,
      repaired: sums.repaired,
      doubledInChain,
      firstLoad: moved.firstLoad,
    };
  }
}

/** Statistics of the target, for the people who query it; after the last merge of a run. */
export async function analyzeTarget(db: Database): Promise<void> {
  await db.persistently('analysing the target', () => db.query(`ANALYZE ${TARGET}`));
}

const NOT_LOOKED_AT = { passedOver: null, doubles: null };
const NOTHING_MOVED: Moved = { inserted: 0, updated: 0, refused: 0, firstLoad: false, ...NOT_LOOKED_AT };

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

async function moveRows(client: PoolClient, scope: MergeScope): Promise<Moved> {
  // A deferred constraint would speak up at COMMIT only, when no row can be set aside any more, and keep the key from
  // being built.
  await client.query('SET CONSTRAINTS ALL IMMEDIATE; SAVEPOINT move');
  try {
    const first = await loadEmptyTarget(client, scope);
    const moved =
      first === null ? { ...(await mergeInOrder(client, scope)), ...NOT_LOOKED_AT } : { ...first, updated: 0 };
    return { ...moved, refused: 0, firstLoad: first !== null };
  } catch (error) {
    if (classifyDatabaseError(error) !== 'data') throw error;
    await client.query('ROLLBACK TO SAVEPOINT move');
    return { ...(await mergeAllButRefused(client, scope)), firstLoad: false, ...NOT_LOOKED_AT };
  }
}

/** `duplicates` is what is left over, so rows that staging lost would pass for duplicates: count them. */
async function checkRows(client: PoolClient, scope: MergeScope, moved: Moved): Promise<void> {
  if (moved.inserted + (moved.passedOver ?? 0) === scope.loaded) return;
  const { rows } = await client.query<{ staged: number }>(`SELECT count(*)::int AS staged FROM ${scope.names.rows}`);
  const staged = rows[0]?.staged ?? 0;
  if (staged !== scope.loaded) {
    throw new Error(`${scope.names.rows} has ${staged} rows, and its ledger says ${scope.loaded}: not merged`);
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
