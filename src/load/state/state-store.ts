/**
 * `ingestion.run` and `ingestion.state`: what the job writes outside a merge. Only the merge (merge.ts) writes how far a
 * window is safe; this store writes runs, bounds and windows. Every write holds the generation FOR SHARE, so that a job
 * that was replaced without noticing changes nothing. Every write waits out an outage, and happens once even when a COMMIT
 * is not answered.
 */
import type { PoolClient } from 'pg';
import type { Run, RunIdentity, WindowState } from '../../core/state.ts';
import type { Database } from '../postgres/database.ts';
import { oneRow } from '../postgres/one-row.ts';
import { exactlyOnce } from '../postgres/transaction-outcome.ts';
import { emptyTarget } from '../schema/ingested-events.ts';
import type { Source } from '../schema/source.ts';
import { STAGING_TABLES, emptyStaging, lockStaging } from '../schema/staging.ts';
import { completeRun, type Completion } from './complete-run.ts';
import { readFoundEvents, type FoundEvents } from './found-events.ts';
import { insertWindows } from './insert-windows.ts';
import { checkGeneration, type Ownership } from './owner.ts';
import {
  RUN_COLUMNS,
  WINDOW_COLUMNS,
  readBaseRun,
  readCurrentRun,
  readWindows,
  type BaseUse,
  type StoredRun,
} from './run-reader.ts';
import type { NewRun, RunUpdate, WindowBounds } from './run-changes.ts';
import { describeSource, noteTraits, type SourceTraits } from './source-traits.ts';
import { readTally, type Tally } from './tally.ts';
import { rememberTargetRows, type TargetRows } from './target-rows.ts';

export class StateStore {
  readonly #db: Database;
  readonly #ownership: Ownership;

  constructor(db: Database, ownership: Ownership) {
    this.#db = db;
    this.#ownership = ownership;
  }

  get #source(): Source {
    return this.#ownership.source;
  }

  async currentRun(): Promise<StoredRun | null> {
    return this.#read(() => readCurrentRun(this.#db, this.#source));
  }

  /** See {@link readBaseRun}. */
  async baseRun(address: string, use: BaseUse): Promise<StoredRun | null> {
    return this.#read(() => readBaseRun(this.#db, this.#source, address, use));
  }

  /** All windows of a run, by their numbers. */
  async windows(runId: number): Promise<WindowState[]> {
    return this.#read(() => readWindows(this.#db, runId));
  }

  /**
   * Begins a run with its first windows, in one transaction: a run without windows would look like one that has nothing
   * left to do. The same transaction marks the run `instead` as abandoned; its rows and counts stay.
   */
  async createRun(identity: RunIdentity, options: NewRun): Promise<Run> {
    return this.#write('new run', async (client) => {
      if (options.instead !== undefined) {
        await client.query(
          `UPDATE ingestion.run SET status = 'abandoned', finished_at = now() WHERE run_id = $1 AND status = 'running'`,
          [options.instead],
        );
      }
      if (options.rowsLeft !== undefined) {
        await rememberTargetRows(client, this.#source, options.rowsLeft);
        await client.query('UPDATE ingestion.run SET watermark_ms = NULL, pass_total = NULL WHERE source_id = $1', [
          this.#source.sourceId,
        ]);
      }
      await describeSource(client, this.#source, identity.source);
      const run = await oneRow<StoredRun>(
        client,
        `INSERT INTO ingestion.run
           (source_id, source, since_ms, until_ms, floor_ms, lookback_ms, begun_by, base_total, base_recent)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING ${RUN_COLUMNS}`,
        [
          this.#source.sourceId,
          identity.source,
          identity.sinceMs,
          identity.untilMs,
          options.incrementalSinceMs,
          options.lookbackMs,
          options.begunBy,
          options.baseTotal,
          options.baseRecent,
        ],
      );
      await insertWindows(client, run.runId, options.windows);
      return run;
    });
  }

  /** `--reset`: empties target, staging and all that is remembered of the source, in one transaction. Grants and definitions stay. */
  async resetTarget(): Promise<void> {
    const source = this.#source;
    // Without an outcome to note: emptying twice is the same.
    const reset = async (client: PoolClient): Promise<void> => {
      for (const table of STAGING_TABLES) await lockStaging(client, source, table);
      await checkGeneration(client, this.#ownership);
      for (const table of STAGING_TABLES) await emptyStaging(client, source, table);
      await emptyTarget(client, source.target);
      // Not TRUNCATE: other sources have rows there. Windows, anomalies and keys go with their runs.
      await client.query('DELETE FROM ingestion.run WHERE source_id = $1', [source.sourceId]);
      await describeSource(client, source, null);
      await rememberTargetRows(client, source, { rows: 0, deletions: -1 });
    };
    await this.#db.persistently('emptying the target', () => this.#db.transaction('reset', reset));
  }

  /**
   * Adds the window of a catch-up, from `sinceMs` on. It takes over what the newest window so far has at or above that time:
   * that window ends there now, and its `top_places` count no more.
   */
  async addCatchUp(runId: number, sinceMs: number): Promise<WindowState[]> {
    return this.#write('windows', async (client) => {
      await client.query('UPDATE ingestion.state SET until_ms = $2 WHERE run_id = $1 AND until_ms IS NULL', [
        runId,
        sinceMs,
      ]);
      return insertWindows(client, runId, [{ sinceMs, untilMs: null }]);
    });
  }

  /**
   * Splits a window at times, newest first, that it has not reached yet. The window keeps [first cut, until], each new
   * window gets what lies between two cuts, and the last one what lies below all cuts. All rows change in one transaction;
   * pages of a new window may be staged only after it.
   * @returns the new windows, newest first; none when the window was walked to its end meanwhile.
   */
  async splitWindow(runId: number, windowId: number, cutsMs: readonly number[]): Promise<WindowState[]> {
    return this.#write('windows', async (client) => {
      const { rows } = await client.query<{ since_ms: number | null; complete: boolean }>(
        `SELECT since_ms, complete FROM ingestion.state
          WHERE run_id = $1 AND window_id = $2
            AND (since_ms IS NULL OR since_ms <= $3) AND (until_ms IS NULL OR until_ms >= $4) FOR UPDATE`,
        [runId, windowId, Math.min(...cutsMs), Math.max(...cutsMs)],
      );
      const old = rows[0];
      if (old === undefined || cutsMs.length === 0) {
        throw new Error(`window ${windowId} of run ${runId} cannot be split at ${cutsMs.join(', ')}`);
      }
      if (old.complete) return [];
      await client.query('UPDATE ingestion.state SET since_ms = $3 WHERE run_id = $1 AND window_id = $2', [
        runId,
        windowId,
        cutsMs[0],
      ]);
      const parts = cutsMs.map((untilMs, index) => ({ untilMs, sinceMs: cutsMs[index + 1] ?? old.since_ms }));
      return insertWindows(client, runId, parts);
    });
  }

  /**
   * Walks windows again: replaces each by a new one with the same bounds and nothing safe. New numbers, so that page
   * numbers in the ledger cannot be mistaken for those of the earlier walk.
   */
  async reopenWindows(runId: number, windowIds: readonly number[]): Promise<void> {
    await this.#write('windows', async (client) => {
      const { rows } = await client.query<WindowState>(
        `DELETE FROM ingestion.state WHERE run_id = $1 AND window_id = ANY ($2::int[]) RETURNING ${WINDOW_COLUMNS}`,
        [runId, windowIds],
      );
      const inOrder = rows.toSorted((one, other) => one.windowId - other.windowId);
      await insertWindows(client, runId, inOrder);
    });
  }

  /** Walks everything again, as one window: what all others have brought stays in the target, and is counted anew. */
  async replaceWindows(runId: number, bounds: WindowBounds): Promise<void> {
    await this.#write('windows', async (client) => {
      await client.query('DELETE FROM ingestion.state WHERE run_id = $1', [runId]);
      await insertWindows(client, runId, [bounds]);
    });
  }

  /** All windows of a run as they stand, for {@link restoreWindows}: their walks must have ended, and what they brought must be merged. */
  async copyWindows(runId: number): Promise<string> {
    const { copy } = await this.#read(() =>
      oneRow<{ copy: string }>(
        this.#db,
        `SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]')::text AS copy FROM ingestion.state s WHERE run_id = $1`,
        [runId],
      ),
    );
    return copy;
  }

  /** All windows are as they were when they were copied, numbers included: no page of theirs has been staged since. */
  async restoreWindows(runId: number, copy: string): Promise<void> {
    await this.#write('windows', async (client) => {
      await client.query('DELETE FROM ingestion.state WHERE run_id = $1', [runId]);
      await client.query(
        'INSERT INTO ingestion.state SELECT * FROM jsonb_populate_recordset(NULL::ingestion.state, $1)',
        [copy],
      );
    });
  }

  /**
   * A window whose end alone was doubtful goes on where it ended: the API may say by now whether that was the end. One that
   * may have lost events before is walked again, and so is one whose end stays doubtful: the place that it ended at may be gone.
   * @returns whether any is walked again
   */
  async continueDoubtfulWindows(runId: number): Promise<boolean> {
    const windows = await this.windows(runId);
    const again = windows.filter(({ isDoubtful, suspect }) => isDoubtful && suspect);
    await this.reopenWindows(
      runId,
      again.map(({ windowId }) => windowId),
    );
    await this.#write('windows', async (client) => {
      await client.query(
        'UPDATE ingestion.state SET complete = false, doubtful = false, suspect = true WHERE run_id = $1 AND doubtful',
        [runId],
      );
    });
    return again.length > 0;
  }

  /** The windows that reach to the end of a list go on where they ended: what they brought must be merged. */
  async goOnAtEnd(runId: number): Promise<void> {
    await this.#write('windows', async (client) => {
      await client.query('UPDATE ingestion.state SET complete = false WHERE run_id = $1 AND since_ms IS NULL', [runId]);
    });
  }

  /** Sets the fields that are given and leaves the others. `newestMs` only ever rises. */
  async updateRun(runId: number, update: RunUpdate): Promise<void> {
    await this.#write('run', async (client) => {
      await client.query(
        `UPDATE ingestion.run SET
           server_date_ms = CASE WHEN $2 THEN $3 ELSE server_date_ms END,
           pass = coalesce($4, pass),
           pass_total = CASE WHEN $5 THEN $6 ELSE pass_total END,
           known_total = coalesce($6, known_total),
           newest_ms = greatest(newest_ms, $7),
           watermark_ms = coalesce(watermark_ms, $8)
         WHERE run_id = $1`,
        [
          runId,
          update.serverDateMs !== undefined,
          update.serverDateMs ?? null,
          update.pass ?? null,
          update.passTotal !== undefined,
          update.passTotal ?? null,
          update.newestMs ?? null,
          update.watermarkMs ?? null,
        ],
      );
    });
  }

  /** The run is complete and checked; a later one may begin from its watermark. */
  async completeRun(runId: number, completion: Completion): Promise<void> {
    await this.#write('run', (client) => completeRun(client, this.#source, runId, completion));
  }

  /** See {@link readTally}. */
  async tally(runId: number): Promise<Tally> {
    return this.#read(() => readTally(this.#db, runId));
  }

  /** See {@link readFoundEvents}. */
  async foundEvents(runId: number): Promise<FoundEvents> {
    return this.#read(() => readFoundEvents(this.#db, this.#source, runId));
  }

  /** What pages have shown of the source, for later starts. */
  async noteTraits(traits: SourceTraits): Promise<void> {
    await this.#write('source', (client) => noteTraits(client, this.#source, traits));
  }

  /** What is in the target now is what the job has left there. */
  async rememberRows(counted: Pick<TargetRows, 'rows' | 'deletions'>): Promise<void> {
    await this.#write('rows', (client) => rememberTargetRows(client, this.#source, counted));
  }

  async #read<T>(read: () => Promise<T>): Promise<T> {
    return this.#db.persistently('reading the state', read);
  }

  async #write<T>(purpose: string, work: (client: PoolClient) => Promise<T>): Promise<T> {
    return exactlyOnce(this.#db, purpose, async (client) => {
      await checkGeneration(client, this.#ownership);
      return work(client);
    });
  }
}
