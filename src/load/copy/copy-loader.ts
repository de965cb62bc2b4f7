/** Loads one page into staging: rows, anomalies and ledger row in one transaction, tried until it succeeds. */
import type { PoolClient } from 'pg';
import { GaveUpError } from '../../core/errors.ts';
import type { PageAnomaly } from '../../core/encoded-page.ts';
import type { Logger } from '../../core/logging.ts';
import { describePlace } from '../../core/page-place.ts';
import type { LedgerEntry } from '../../core/state.ts';
import { classifyDatabaseError, sqlStateOf } from '../postgres/database-errors.ts';
import { commit, type Database } from '../postgres/database.ts';
import { withinWatchdog, type Patience } from '../postgres/watchdog.ts';
import { copySql, stagingNames } from '../schema/staging.ts';
import type { Ownership } from '../state/owner.ts';
import { stageAnomalies } from './anomalies.ts';
import { copyRows } from './copy-stream.ts';
import { findLedgerRow, insertLedgerRow, type LoadedRows } from './ledger.ts';
import type { PageBatch, PageWithEvents } from './page-batch.ts';
import { copyAllButRefused } from './refused-in-copy.ts';
import { StagedTypes } from './staged-types.ts';

const DEFAULT_WATCHDOG_MS = 60_000;
/**
 * All that a COPY writes is unlogged and gone after a crash, however durable its commit was. But it locks the owner's row,
 * which is logged: without this setting each page would wait for the disk.
 */
const BEGIN = 'BEGIN; SET LOCAL synchronous_commit = off';

export interface CopyLoaderOptions {
  readonly db: Database;
  readonly ownership: Ownership;
  readonly runId: number;
  readonly logger: Logger;
  /** A COPY without progress for this time is given up, its backend ended, and the page loaded again; 60 s unless given. */
  readonly watchdogMs?: number;
  /** Aborted: no further COPY begins, because another one has failed. */
  readonly stopped?: AbortSignal;
}

export class CopyLoader {
  readonly #options: CopyLoaderOptions;
  readonly #watchdogMs: number;
  readonly #types = new StagedTypes();

  constructor(options: CopyLoaderOptions) {
    this.#options = options;
    this.#watchdogMs = options.watchdogMs ?? DEFAULT_WATCHDOG_MS;
  }

  /**
   * Loads one page and waits out an outage. Every try uses the same staging table, whose ledger tells whether an earlier
   * try with an unknown outcome succeeded.
   * @throws StagingLostError, TargetBusyError (see owner.ts), StagedTypesError, GaveUpError.
   */
  async load(batch: PageBatch): Promise<LoadedRows & { readonly copyMs: number }> {
    const { db, runId, ownership } = this.#options;
    const startedMs = performance.now();
    let tries = 0;
    const loaded = await db.persistently('copying a page', async () => {
      tries += 1;
      const earlier = tries === 1 ? null : await findLedgerRow(db, batch.table, runId, batch.ledger, ownership);
      return earlier ?? this.#try(batch);
    });
    return { ...loaded, copyMs: performance.now() - startedMs };
  }

  async #try(batch: PageBatch): Promise<LoadedRows> {
    const { db, stopped } = this.#options;
    return db.withCopyClient(async (client, watched) => {
      if (stopped?.aborted === true) throw new GaveUpError('not copied, because another page or a merge has failed');
      const patience: Patience = { ms: this.#watchdogMs, isExcused: () => watched.holder !== null };
      const tableOid = await this.#types.check(client, batch, this.#options.ownership.source);
      try {
        await this.#copyWhole(client, batch, patience);
      } catch (error) {
        if (classifyDatabaseError(error) !== 'data' || batch.encoded === null) throw error;
        await client.query('ROLLBACK');
        return this.#tryByParts(client, { ...batch, encoded: batch.encoded, tableOid }, patience, error);
      }
      return this.#finish(client, { ...batch, anomalies: batch.encoded?.anomalies ?? [], tableOid }, patience);
    });
  }

  async #copyWhole(client: PoolClient, { table, ledger, encoded }: PageBatch, patience: Patience): Promise<void> {
    if (encoded === null || encoded.rowCount === 0) {
      await client.query(BEGIN);
      return;
    }
    // BEGIN and COPY in one round trip.
    const rows = new Uint8Array(encoded.rows, 0, encoded.rowsBytes);
    const sql = copySql(this.#options.ownership.source, table);
    const copied = await copyRows(client, `${BEGIN}; ${sql}`, rows, patience);
    if (copied !== encoded.rowCount) {
      throw new Error(`PostgreSQL took ${copied} rows of ${describePlace(ledger)}, which has ${encoded.rowCount}`);
    }
  }

  /** PostgreSQL refused something in this page: finds what it refused, and loads everything else. */
  async #tryByParts(
    client: PoolClient,
    { table, tableOid, ledger, encoded }: PageWithEvents & Pick<CopiedPage, 'tableOid'>,
    patience: Patience,
    cause: unknown,
  ): Promise<LoadedRows> {
    await client.query(BEGIN);
    const refused = await copyAllButRefused(
      client,
      this.#options.ownership.source,
      { table, ledger, encoded },
      patience,
    );
    const refusedPositions = new Set(refused.map((anomaly) => anomaly.position));
    // A refused event has no row, so a repair in it no longer counts.
    const kept = encoded.anomalies.filter((anomaly) => !refusedPositions.has(anomaly.position));
    const repaired = new Set(kept.filter(({ kind }) => kind === 'repaired').map(({ position }) => position)).size;
    const copied: LedgerEntry = {
      ...ledger,
      loaded: ledger.loaded - refused.length,
      rejected: ledger.rejected + refused.length,
      repaired: Math.min(ledger.repaired, repaired),
    };
    const page = { table, tableOid, ledger: copied, anomalies: [...kept, ...refused] };
    const loaded = await this.#finish(client, page, patience);
    this.#options.logger.warn(
      {
        window: ledger.windowId,
        page: ledger.page,
        refused: refused.length,
        sqlstate: sqlStateOf(cause),
        reason: refused[0]?.reason,
      },
      'PostgreSQL refused events of a page; they are set aside in ingestion.anomaly',
    );
    return loaded;
  }

  async #finish(client: PoolClient, page: CopiedPage, patience: Patience): Promise<LoadedRows> {
    const { runId, ownership } = this.#options;
    const { table, tableOid, ledger, anomalies } = page;
    const work = async (): Promise<void> => {
      // Ledger before anomalies: when the page is staged already, PostgreSQL notices before it has stored anything.
      await insertLedgerRow(client, { table, tableOid }, runId, ledger, ownership);
      await stageAnomalies(client, stagingNames(ownership.source, table), runId, ledger, anomalies);
      await commit(client, 'copying a page');
    };
    await withinWatchdog('committing a page', patience.ms, work(), patience.isExcused);
    return { loaded: ledger.loaded, rejected: ledger.rejected };
  }
}

/** A page whose rows are copied and not yet committed. */
interface CopiedPage extends Pick<PageBatch, 'table' | 'ledger'> {
  readonly anomalies: readonly PageAnomaly[];
  /** See {@link StagedTypes.check}. */
  readonly tableOid: number | null;
}
