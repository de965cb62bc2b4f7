/**
 * Staging → target, ledger → `ingestion.state`, in one transaction: the only place where the job's progress
 * becomes durable, together with the rows it speaks of. Locks are taken in the order that staging.ts gives.
 */
import type { PoolClient } from 'pg';
import { describeError } from '../../core/errors.ts';
import type { Logger } from '../../core/logging.ts';
import type { RunCounts } from '../../core/state.ts';
import { moveAnomalies } from '../copy/anomalies.ts';
import { LOCK_NOT_AVAILABLE, isAboutRows, sqlStateOf } from '../postgres/database-errors.ts';
import type { Database } from '../postgres/database.ts';
import { oneRow } from '../postgres/one-row.ts';
import { exactlyOnce } from '../postgres/transaction-outcome.ts';
import { hasNoPage, isTargetEmpty, lockTarget, lockTargetAlone, planWhileEmpty } from '../schema/ingested-events.ts';
import { hasQuickWay, type OnConflict, type TargetPlan } from '../schema/target-plan.ts';
import {
  STAGING_TABLES,
  emptyStaging,
  lockStagingForMerge,
  stagingNames,
  type StagingTable,
} from '../schema/staging.ts';
import { checkEpoch, checkGeneration, type Ownership } from '../state/owner.ts';
import { haveComeAgain, keepServedKeys } from '../state/found-events.ts';
import { addTargetRows, truncateOwnTarget } from '../state/target-rows.ts';
import { EmptyTargetMerge } from './empty-target-merge.ts';
import { mergeInOrder } from './later-merge.ts';
import { addToCounts, foldLedger, type LedgerSums } from './ledger-fold.ts';
import { checkRows, readLocked, type LockedStaging, type StagedPages } from './locked-staging.ts';
import type { MergeScope, MovedRows } from './merge-sql.ts';
import { mergeAllButRefused } from './refused-in-merge.ts';
import { makeTableBeside, takePlace } from './table-beside.ts';

/**
 * Waits for the late pages of an early merge: those that came while the first ones were being merged. `null` when they are
 * not waited for any more. When the merge has to begin again it asks again, and must get the same answer.
 */
export type LatePages = () => Promise<StagedPages | null>;

/** All counts are of this merge alone. */
export interface MergeResult extends RunCounts {
  /** What was merged: the table asked for, and perhaps the one with the late pages. */
  readonly tables: readonly StagingTable[];
  readonly seconds: number;
  /** The rows went into an empty target without its index. */
  readonly isInitialMerge: boolean;
}

export interface MergerOptions {
  readonly db: Database;
  readonly ownership: Ownership;
  readonly runId: number;
  readonly onConflict: OnConflict;
  readonly logger: Logger;
}

interface Moved extends MovedRows {
  readonly merged: readonly LockedStaging[];
  readonly refused: number;
  readonly isInitialMerge: boolean;
}

export class Merger {
  readonly #options: MergerOptions;

  constructor(options: MergerOptions) {
    this.#options = options;
  }

  /**
   * Merges one staging table. Every page assigned to it must be acknowledged; pages of the other table may be copied
   * meanwhile. Waits out an outage, and finds out whether a merge whose COMMIT was not answered happened.
   * @param pages acknowledged since the table was last empty; `null` for what an earlier start left.
   * @param latePages for an early merge: called when the rows of this table are moved; the pages it gives are merged with
   *   them. Not called when the target is not empty, or refuses a row.
   * @throws StagingLostError, TargetBusyError, GaveUpError, CountsDisagreeError; Error when the ledger lacks acknowledged pages.
   */
  async merge(table: StagingTable, pages: number | null, latePages?: LatePages): Promise<MergeResult> {
    const { db, logger } = this.#options;
    const startedMs = performance.now();
    const merged = await exactlyOnce(db, 'merge', (client) => this.#merge(client, table, pages, latePages));
    const result = { ...merged, seconds: (performance.now() - startedMs) / 1000 };
    logger.debug(result, 'merged');
    return result;
  }

  /**
   * Merges what an earlier start copied and did not merge, while nothing is being copied. The table with the earlier pages
   * comes first: later pages merged before them would lie behind a gap, count as unsafe and be asked for again.
   */
  async mergeLeftovers(): Promise<void> {
    const { db, ownership } = this.#options;
    const [a, b] = [stagingNames(ownership.source, 'a'), stagingNames(ownership.source, 'b')];
    const { reversed } = await db.persistently('looking at what is staged', () =>
      oneRow<{ reversed: boolean }>(
        db,
        `SELECT EXISTS (SELECT FROM ${a.ledger} a JOIN ${b.ledger} b
                         USING (run_id, window_id) WHERE a.page > b.page) AS reversed`,
      ),
    );
    const tables = reversed ? STAGING_TABLES.toReversed() : STAGING_TABLES;
    for (const table of tables) await this.merge(table, null);
  }

  async #merge(
    client: PoolClient,
    table: StagingTable,
    pages: number | null,
    latePages: LatePages | undefined,
  ): Promise<Omit<MergeResult, 'seconds'>> {
    const { ownership, logger } = this.#options;
    const { source } = ownership;
    const canTruncate = await lockStagingForMerge(client, source, table);
    await checkGeneration(client, ownership);
    await checkEpoch(client, ownership);
    const locked = await readLocked(client, source, { table, canTruncate, acknowledged: pages }, logger);
    const runOf = ({ runId }: LedgerSums): number => runId ?? this.#options.runId;
    const cameAgain = await haveComeAgain(client, source, { rows: locked.names.rows, runId: runOf(locked.sums) });
    const moved = await this.#move(client, locked, latePages);
    const { merged, inserted, updated, refused, isInitialMerge } = moved;
    const sumOf = (figure: 'pages' | 'served' | 'loaded' | 'rejected' | 'repaired'): number =>
      merged.reduce((sum, { sums }) => sum + sums[figure], 0);
    if (!isInitialMerge) await checkRows(client, merged, inserted);
    const loaded = sumOf('loaded') - refused;
    const duplicates = loaded - inserted - updated;
    for (const staging of merged) {
      await foldLedger(client, staging.names);
      await moveAnomalies(client, staging.names);
      const { names, sums } = staging;
      await keepServedKeys(client, source, { rows: names.rows, runId: runOf(sums), isAllThere: refused === 0 });
    }
    const ledgers = merged.map(({ names }) => names.ledger);
    await addToCounts(client, ledgers, { inserted, updated, refused, duplicates, cameAgain });
    for (const staging of merged) await emptyStaging(client, source, staging.table, staging.canTruncate);
    if (inserted > 0) await addTargetRows(client, source, inserted, isInitialMerge);
    return {
      tables: merged.map((staging) => staging.table),
      pages: sumOf('pages'),
      served: sumOf('served'),
      loaded,
      inserted,
      updated,
      duplicates,
      rejected: sumOf('rejected') + refused,
      repaired: sumOf('repaired'),
      isInitialMerge,
    };
  }

  async #move(client: PoolClient, staging: LockedStaging, latePages: LatePages | undefined): Promise<Moved> {
    const { ownership, onConflict, logger } = this.#options;
    const nothing: Moved = {
      merged: [staging],
      inserted: 0,
      updated: 0,
      refused: 0,
      isInitialMerge: false,
    };
    if (staging.sums.loaded === 0) return nothing;
    // A deferred constraint would fail only at COMMIT, when no row can be set aside any more, and would keep the key from
    // being built.
    await client.query('SET CONSTRAINTS ALL IMMEDIATE; SAVEPOINT shared');
    const seen = await planWhileEmpty(client, ownership.source.target, onConflict);
    if (seen !== null && hasQuickWay(seen)) {
      const beside = await this.#tryInPart(client, () => this.#moveBeside(client, seen, staging, latePages));
      if (beside !== null) return { ...nothing, ...beside };
    }
    if (seen !== null && (hasQuickWay(seen) || seen.sparesWal)) {
      const quickly = await this.#tryInPart(client, () => this.#moveIntoEmpty(client, seen, staging, latePages));
      if (quickly !== null) return { ...nothing, ...quickly };
    }
    const scope = await this.#scopeOf(client, staging);
    const isPlain = scope.plan.watchedTriggers.length === 0 && !scope.plan.hasHeirs;
    const inOrder = isPlain ? await this.#tryInPart(client, () => mergeInOrder(client, scope)) : null;
    if (inOrder !== null) return { ...nothing, ...inOrder };
    // That may take minutes. Whoever reads the target waits no longer, should this merge have had it alone.
    await client.query('ROLLBACK TO SAVEPOINT shared');
    return { ...nothing, ...(await mergeAllButRefused(client, await this.#scopeOf(client, staging), logger)) };
  }

  /** Locks the target, if only against changes of its definition. */
  async #scopeOf(client: PoolClient, { names, sums }: LockedStaging): Promise<MergeScope> {
    const { ownership, runId, onConflict } = this.#options;
    const { source } = ownership;
    const plan = await lockTarget(client, source.target, onConflict);
    return { source, names, onConflict, plan, runId: sums.runId ?? runId };
  }

  /** @returns `null`, with nothing changed, when `work` does, or PostgreSQL refuses something, or a lock, that another way may get past */
  async #tryInPart<T>(client: PoolClient, work: () => Promise<T | null>): Promise<T | null> {
    await client.query('SAVEPOINT move');
    try {
      const done = await work();
      if (done !== null) return done;
    } catch (error) {
      if (!isAboutRows(error) && sqlStateOf(error) !== LOCK_NOT_AVAILABLE) throw error;
      this.#options.logger.debug(
        { reason: describeError(error) },
        'PostgreSQL refused a merge as a whole; trying another way',
      );
    }
    // This gives up the lock on the table of the late pages: they get a merge of their own.
    await client.query('ROLLBACK TO SAVEPOINT move');
    return null;
  }

  /**
   * @param seen what followed from the target before it was locked. Only the quick way is worth that others wait.
   * @returns `null` when the target is not empty, somebody uses it, or the quick way is closed
   */
  async #moveIntoEmpty(
    client: PoolClient,
    seen: TargetPlan,
    staging: LockedStaging,
    latePages: LatePages | undefined,
  ): Promise<Omit<Moved, 'refused'> | null> {
    const { source } = this.#options.ownership;
    if (!(await lockTargetAlone(client, source.target, hasQuickWay(seen)))) return null;
    const scope = await this.#scopeOf(client, staging);
    if (!(await isTargetEmpty(client, source.target))) return null;
    if (scope.plan.sparesWal && (await hasNoPage(client, source.target))) {
      // The file is new then: the rows that this transaction writes to it are on the disk before COMMIT, and not logged. A merge in the
      // order of ids goes on from here, too.
      await truncateOwnTarget(client, source);
      await client.query('SAVEPOINT move');
    }
    return hasQuickWay(scope.plan) ? this.#fill(client, scope, staging, latePages) : null;
  }

  /** @returns `null` when the table beside could not take the target's place: another way is open then, or not */
  async #moveBeside(
    client: PoolClient,
    { types }: TargetPlan,
    staging: LockedStaging,
    latePages: LatePages | undefined,
  ): Promise<Omit<Moved, 'refused'> | null> {
    const { ownership, runId, onConflict } = this.#options;
    const { source } = ownership;
    const target = await makeTableBeside(client, source, types);
    if (target === null) return null;
    const scope = { source: { ...source, target }, onConflict, runId: staging.sums.runId ?? runId };
    const filled = await this.#fill(client, scope, staging, latePages);
    return filled !== null && (await takePlace(client, source, target)) ? filled : null;
  }

  /** @param scope with a table that has no row, and that the transaction has for itself */
  async #fill(
    client: PoolClient,
    scope: Pick<MergeScope, 'source' | 'onConflict' | 'runId'>,
    staging: LockedStaging,
    latePages: LatePages | undefined,
  ): Promise<Omit<Moved, 'refused'> | null> {
    const initial = await EmptyTargetMerge.begin(client, scope);
    if (initial === null) return null;
    const merged = [staging];
    await initial.add(staging.names, latePages === undefined);
    const late = (await latePages?.()) ?? null;
    if (late !== null) {
      const canTruncate = await lockStagingForMerge(client, scope.source, late.table);
      const { table, pages: acknowledged } = late;
      const last = await readLocked(client, scope.source, { table, canTruncate, acknowledged }, this.#options.logger);
      await initial.add(last.names, true);
      merged.push(last);
    }
    const { inserted, passedOver } = await initial.complete();
    // Here, while nobody has to wait for it.
    await checkRows(client, merged, inserted + (passedOver ?? 0));
    return { inserted, updated: 0, merged, isInitialMerge: true };
  }
}
