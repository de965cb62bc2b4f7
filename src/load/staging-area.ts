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
import type { CopyLoader } from './copy/copy-loader.ts';
import { isTimeForClosingMerge, type LoadProgress } from './merge/closing-merge.ts';
import { MergeSchedule, type Assignment } from './merge/merge-schedule.ts';
import type { Merger, MergeResult } from './merge/merge.ts';

export interface StagingEvents {
  /** A page is in staging. */
  readonly copied: (page: { readonly loaded: number; readonly rejected: number; readonly copyMs: number }) => void;
  /** The next merge waits for it. */
  readonly merged: (result: MergeResult) => Promise<void>;
}

export interface StagingAreaOptions extends StagingEvents {
  readonly loader: CopyLoader;
  readonly merger: Merger;
  readonly mergeIntervalMs: number;
  readonly isTargetEmpty: boolean;
  /** Takes back the buffers of pages that are in staging. */
  readonly buffers: PageBuffers;
}

export class StagingArea {
  readonly #options: StagingAreaOptions;
  readonly #schedule: MergeSchedule;
  readonly #copies = new Set<Promise<void>>();
  readonly #failed = new AbortController();
  #failure: { readonly error: unknown } | null = null;

  constructor(options: StagingAreaOptions) {
    const { merger, merged, mergeIntervalMs, isTargetEmpty } = options;
    this.#options = options;
    this.#schedule = new MergeSchedule({
      merge: (table, pages, latePages) => merger.merge(table, pages, latePages),
      merged,
      fail: (error) => {
        this.#fail(error);
      },
      intervalMs: mergeIntervalMs,
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
   * Takes the page over, with its permit. Returns when the page has its staging table, in the order of the calls.
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
    if (progress !== null && isTimeForClosingMerge(progress)) this.#schedule.beginClosingMerge();
  }

  /** Merges in the background what is there, before its time. */
  mergeSoon(): void {
    this.#schedule.mergeSoon();
  }

  /** Waits for the pages that are in their COPY. @throws what failed first */
  async copied(): Promise<void> {
    while (this.#copies.size > 0) await Promise.all(this.#copies);
    if (this.#failure !== null) throw this.#failure.error;
  }

  /** Merges everything; the walks must be over. @throws what failed first */
  async finish(): Promise<void> {
    await this.copied();
    await this.#schedule.finish();
  }

  /** No further merge begins. Waits for the one under way: its connection must stay open. */
  async stop(): Promise<void> {
    await this.#schedule.stop();
  }

  async #copy({ encoded, ledger, permit }: AcceptedPage, assignment: Assignment): Promise<void> {
    const { loader, buffers, copied } = this.#options;
    try {
      const page = await loader.load({
        table: assignment.table,
        rows: encoded === null ? new Uint8Array() : new Uint8Array(encoded.rows, 0, encoded.rowsBytes),
        rowCount: encoded?.rowCount ?? 0,
        ledger,
        anomalies: encoded?.anomalies ?? [],
        body: encoded === null ? new Uint8Array() : new Uint8Array(encoded.body, 0, encoded.bodyBytes),
      });
      assignment.acknowledge();
      if (encoded !== null) {
        // Only now: until PostgreSQL has acknowledged the page, a connection may still send from them.
        buffers.give(encoded.rows);
        buffers.give(encoded.body);
      }
      copied(page);
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
