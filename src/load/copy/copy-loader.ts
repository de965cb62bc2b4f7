/**
 * One page into staging: rows, anomalies and ledger row in one transaction, as often as it takes. The page's bytes are
 * kept by the caller until this has returned, so that it can be loaded again, split, or quoted.
 */
import type { PoolClient } from 'pg';
import type { PageAnomaly } from '../../core/encoded-page.ts';
import type { Logger } from '../../core/logging.ts';
import type { LedgerEntry } from '../../core/state.ts';
import { stageAnomalies } from './anomalies.ts';
import { copyRows, withinWatchdog } from './copy-stream.ts';
import { classifyDatabaseError, sqlStateOf } from '../postgres/database-errors.ts';
import { findLedgerRow, insertLedgerRow } from './ledger.ts';
import type { Ownership } from '../state/owner.ts';
import { commit } from '../postgres/database.ts';
import type { Database } from '../postgres/database.ts';
import { copyAllButRefused } from './refused-in-copy.ts';
import { copySql } from '../schema/staging.ts';
import type { StagingTable } from '../schema/staging.ts';

const DEFAULT_WATCHDOG_MS = 60_000;
/**
 * All that a COPY writes is unlogged and gone after a crash, however durable its commit was. But it locks the owner's row,
 * which is logged: without this each page would wait for the disk.
 */
const BEGIN = 'BEGIN; SET LOCAL synchronous_commit = off';

export interface PageBatch {
  readonly table: StagingTable;
  /** A complete binary COPY stream; may be empty when `rowCount` is 0. */
  readonly rows: Uint8Array;
  readonly rowCount: number;
  readonly ledger: LedgerEntry;
  readonly anomalies: readonly PageAnomaly[];
  /** The decompressed page, to quote refused events from. */
  readonly body: Uint8Array;
}

export interface LoadedPage {
  readonly loaded: number;
  readonly rejected: number;
  readonly copyMs: number;
}

export interface CopyLoaderOptions {
  readonly db: Database;
  readonly ownership: Ownership;
  readonly runId: number;
  readonly logger: Logger;
  /** A COPY that takes nothing for so long is given up, its backend ended, and the page loaded again; 60 s unless given. */
  readonly watchdogMs?: number;
}

export class CopyLoader {
  readonly #db: Database;
  readonly #ownership: Ownership;
  readonly #runId: number;
  readonly #logger: Logger;
  readonly #watchdogMs: number;

  constructor(options: CopyLoaderOptions) {
    this.#db = options.db;
    this.#ownership = options.ownership;
    this.#runId = options.runId;
    this.#logger = options.logger;
    this.#watchdogMs = options.watchdogMs ?? DEFAULT_WATCHDOG_MS;
  }

  /**
   * Loads one page. Waits out an outage; into the same staging table each time, whose ledger tells whether a try with an
   * unknown outcome went through.
   * @throws StagingLostError, TargetBusyError (see owner.ts), GaveUpError.
   */
  async load(batch: PageBatch): Promise<LoadedPage> {
    const startedMs = performance.now();
    let tries = 0;
    const { loaded, rejected } = await this.#db.persistently('copying a page', async () => {
      tries += 1;
      if (tries > 1) {
        const earlier = await findLedgerRow(this.#db, batch.table, this.#runId, batch.ledger, this.#ownership);
        if (earlier !== null) return earlier;
      }
      return this.#try(batch);
    });
    return { loaded, rejected, copyMs: performance.now() - startedMs };
  }

  async #try(batch: PageBatch): Promise<{ loaded: number; rejected: number }> {
    try {
      return await this.#db.withCopyClient(async (client) => {
        await this.#copyWhole(client, batch).catch((error: unknown) => {
          throw classifyDatabaseError(error) === 'data' ? new PageRefusedError(error) : error;
        });
        await this.#finish(client, batch, batch.ledger, batch.anomalies);
        return { loaded: batch.ledger.loaded, rejected: batch.ledger.rejected };
      });
    } catch (error) {
      if (!(error instanceof PageRefusedError)) throw error;
      return await this.#tryByParts(batch, error.cause);
    }
  }

  async #copyWhole(client: PoolClient, batch: PageBatch): Promise<void> {
    if (batch.rowCount === 0) {
      await client.query(BEGIN);
      return;
    }
    // One round trip less than a BEGIN of its own.
    const copied = await copyRows(client, `${BEGIN}; ${copySql(batch.table)}`, batch.rows, this.#watchdogMs);
    if (copied !== batch.rowCount) {
      throw new Error(
        `PostgreSQL took ${copied} rows of window ${batch.ledger.windowId}, page ${batch.ledger.page}, which has ${batch.rowCount}`,
      );
    }
  }

  /** PostgreSQL refused something in this page: find what, load the rest. */
  async #tryByParts(batch: PageBatch, cause: unknown): Promise<{ loaded: number; rejected: number }> {
    const { windowId, page } = batch.ledger;
    return this.#db.withCopyClient(async (client) => {
      await client.query(BEGIN);
      const refused = await copyAllButRefused(client, batch, this.#watchdogMs);
      const gone = new Set(refused.map((anomaly) => anomaly.position));
      // A refused event has no row, so what was repaired in it is no repair.
      const kept = batch.anomalies.filter((anomaly) => !gone.has(anomaly.position));
      const repaired = new Set(kept.filter(({ kind }) => kind === 'repaired').map(({ position }) => position)).size;
      const ledger: LedgerEntry = {
        ...batch.ledger,
        loaded: batch.ledger.loaded - refused.length,
        rejected: batch.ledger.rejected + refused.length,
        repaired: Math.min(batch.ledger.repaired, repaired),
      };
      await this.#finish(client, batch, ledger, [...kept, ...refused]);
      this.#logger.warn(
        { window: windowId, page, refused: refused.length, sqlstate: sqlStateOf(cause), reason: refused[0]?.reason },
        'PostgreSQL refused events of a page; they are set aside in ingestion.anomaly',
      );
      return { loaded: ledger.loaded, rejected: ledger.rejected };
    });
  }

  async #finish(
    client: PoolClient,
    batch: PageBatch,
    ledger: LedgerEntry,
    anomalies: readonly PageAnomaly[],
  ): Promise<void> {
    const { table } = batch;
    const runId = this.#runId;
    const work = async (): Promise<void> => {
      // Ledger before anomalies: PostgreSQL then finds a page that is there already before it has stored anything.
      await insertLedgerRow(client, table, runId, ledger, this.#ownership);
      await stageAnomalies(client, table, { runId, windowId: ledger.windowId, page: ledger.page }, anomalies);
      await commit(client, 'copying a page');
    };
    await withinWatchdog('committing a page', this.#watchdogMs, work());
  }
}

/** The COPY of a whole page was refused: something is wrong with at least one of its rows. */
class PageRefusedError extends Error {
  constructor(cause: unknown) {
    super('PostgreSQL refused a page', { cause });
    this.name = 'PageRefusedError';
  }
}
