/**
 * From an accepted page to its rows in staging: assigns the table, copies beside everything else, gives the page's place
 * in flight back when its COPY has committed. The first failure ends the walks.
 */
import type { JobObserver } from '../core/job-snapshot.ts';
import { pageBuffers } from '../core/page-buffers.ts';
import type { CopyLoader } from './copy/copy-loader.ts';
import type { AcceptedPage } from '../core/accepted-page.ts';
import type { Assignment } from './merge/merge-schedule.ts';

export interface PageLoadingOptions {
  readonly loader: CopyLoader;
  readonly schedule: { assign(bytes: number): Promise<Assignment> };
  readonly onCopied: (events: number, rejected: number) => void;
  readonly fail: (error: unknown) => void;
  readonly observe: JobObserver;
}

export class PageLoading {
  readonly #options: PageLoadingOptions;
  readonly #copying = new Set<Promise<void>>();
  #failed = false;

  constructor(options: PageLoadingOptions) {
    this.#options = options;
  }

  /** Pages that wait for their COPY or are in it. */
  get copying(): number {
    return this.#copying.size;
  }

  /** Takes the page over, its permit too. Returns when it has its staging table, in the order of the calls. */
  async accept(page: AcceptedPage): Promise<void> {
    const { schedule } = this.#options;
    if (this.#failed) {
      page.permit.release();
      return;
    }
    const assignment = await schedule.assign(page.encoded?.rowsBytes ?? 0).catch((error: unknown) => {
      page.permit.release();
      throw error;
    });
    const copy = this.#copy(page, assignment).finally(() => {
      this.#copying.delete(copy);
    });
    this.#copying.add(copy);
  }

  /** Resolves when no page is in its COPY any more. */
  async settled(): Promise<void> {
    while (this.#copying.size > 0) await Promise.all(this.#copying);
  }

  async #copy(page: AcceptedPage, assignment: Assignment): Promise<void> {
    const { loader, onCopied, fail, observe } = this.#options;
    const { encoded, ledger, permit } = page;
    try {
      const { loaded, rejected, copyMs } = await loader.load({
        table: assignment.table,
        rows: encoded === null ? new Uint8Array() : new Uint8Array(encoded.rows, 0, encoded.rowsBytes),
        rowCount: encoded?.rowCount ?? 0,
        ledger,
        anomalies: encoded?.anomalies ?? [],
        body: encoded === null ? new Uint8Array() : new Uint8Array(encoded.body, 0, encoded.bodyBytes),
      });
      assignment.acknowledge();
      if (encoded !== null) giveBack(encoded);
      observe.copy?.(copyMs / 1000);
      onCopied(loaded, rejected);
    } catch (error) {
      this.#failed = true;
      assignment.abandon();
      fail(error);
    } finally {
      permit.release();
    }
  }
}

/** Only after PostgreSQL has acknowledged the page: until then a connection may still be sending from them. */
function giveBack(encoded: { readonly rows: ArrayBuffer; readonly body: ArrayBuffer }): void {
  pageBuffers.give(encoded.rows);
  pageBuffers.give(encoded.body);
}
