/**
 * Staging as the walks see it: accepted pages go in, and come out merged.
 *
 *   accept ──▶ assigned to a staging table ──▶ COPY, which the walk does not wait for ──▶ `copied`
 *   on time, when staging is full, by `mergeSoon`, at the end by `finish` ──▶ one merge at a time ──▶ `merged`
 *
 * The first COPY or merge that fails aborts {@link StagingArea.failed}, which ends the walks; `finish` throws it.
 */
import type { AcceptedPage } from '../core/accepted-page.ts';
import type { PageBuffers } from '../core/page-buffers.ts';
import { CopyLoader } from './copy/copy-loader.ts';
import { isTimeForEarlyMerge, type LoadProgress } from './merge/early-merge.ts';
import { MergeSchedule, type Assignment } from './merge/merge-schedule.ts';
import { Merger, type MergeResult, type MergerOptions } from './merge/merge.ts';
import { readTargetTypes } from './schema/ingested-events.ts';

export interface StagingEvents {
  /** A page is in staging. */
  readonly copied: (page: { readonly loaded: number; readonly rejected: number; readonly copyMs: number }) => void;
  /** Called after each merge. The next merge begins when it has returned. */
  readonly merged: (result: MergeResult) => Promise<void>;
}

export interface StagingAreaOptions extends MergerOptions {
  readonly mergeIntervalMs: number;
  /** Takes back the buffers of pages that are in staging. */
  readonly buffers: PageBuffers;
}

export class StagingArea {
  readonly #loader: CopyLoader;
  readonly #buffers: PageBuffers;
  readonly #events: StagingEvents;
  readonly #schedule: MergeSchedule;
  readonly #copies = new Set<Promise<void>>();
  readonly #failed = new AbortController();
  #failure: { readonly error: unknown } | null = null;

  static async open(options: StagingAreaOptions, events: StagingEvents): Promise<StagingArea> {
    const target = await readTargetTypes(options.db, options.ownership.source.target);
    return new StagingArea(options, events, target?.empty ?? true);
  }

  private constructor(options: StagingAreaOptions, events: StagingEvents, isTargetEmpty: boolean) {
    const merger = new Merger(options);
    this.#loader = new CopyLoader({ ...options, stopped: this.#failed.signal });
    this.#buffers = options.buffers;
    this.#events = events;
    this.#schedule = new MergeSchedule({
      merge: (table, pages, latePages) => merger.merge(table, pages, latePages),
      merged: async (result) => {
        const { pages, inserted, updated, duplicates, rejected } = result;
        const seconds = Number(result.seconds.toFixed(3));
        options.logger.info({ pages, inserted, updated, duplicates, rejected, seconds }, 'merged');
        await events.merged(result);
      },
      fail: (error) => {
        this.#fail(error);
      },
      intervalMs: options.mergeIntervalMs,
      isTargetEmpty,
    });
  }

  /** Aborted by the first failure; {@link finish} throws what failed. */
  get failed(): AbortSignal {
    return this.#failed.signal;
  }

  /** Pages that wait for their COPY or are in it. */
  get copying(): number {
    return this.#copies.size;
  }

  get isMerging(): boolean {
    return this.#schedule.isMerging;
  }

  /**
   * Takes the page over, with its permit. Returns when a staging table is assigned, before the
   * page is copied. Calls return in their order.
   * @param progress of the pass that the page belongs to; `null` when nobody knows what remains
   */
  async accept(page: AcceptedPage, progress: LoadProgress | null): Promise<void> {
    if (this.#failure !== null) {
      page.permit.release();
      return;
    }
    const assignment = await this.#schedule.assign(page.encoded?.rowsBytes ?? 0);
    const copy = this.#copy(page, assignment).finally(() => {
      this.#copies.delete(copy);
    });
    this.#copies.add(copy);
    if (progress !== null && isTimeForEarlyMerge(progress)) this.#schedule.beginEarlyMerge();
  }

  /** Merges in the background what is there, before its time. */
  mergeSoon(): void {
    this.#schedule.mergeSoon();
  }

  /** Waits for the pages that are in their COPY. @throws what failed first */
  async waitForCopies(): Promise<void> {
    while (this.#copies.size > 0) await Promise.all(this.#copies);
    if (this.#failure !== null) throw this.#failure.error;
  }

  /** Merges everything; the walks must be over. @throws what failed first */
  async finish(): Promise<void> {
    await this.waitForCopies();
    await this.#schedule.finish();
  }

  /** No further merge begins. Waits for the one under way: its connection must stay open. */
  async stop(): Promise<void> {
    await this.#schedule.stop();
  }

  async #copy({ encoded, ledger, permit }: AcceptedPage, assignment: Assignment): Promise<void> {
    try {
      const loaded = await this.#loader.load({ table: assignment.table, ledger, encoded });
      assignment.acknowledge();
      if (encoded !== null) {
        // Only now: until PostgreSQL has acknowledged the page, a connection may still send from them.
        this.#buffers.give(encoded.rows);
        this.#buffers.give(encoded.body);
      }
      this.#events.copied(loaded);
    } catch (error) {
      assignment.abandon();
      this.#fail(error);
    } finally {
      permit.release();
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#failed.abort();
  }
}
