/** One encoded page on its way into staging. */
import type { EncodedPage } from '../../core/encoded-page.ts';
import type { LedgerEntry } from '../../core/state.ts';
import type { StagingTable } from '../schema/staging.ts';

/** The caller keeps the buffers unchanged until the page is loaded: it may be loaded again, split, or quoted. */
export interface PageBatch {
  readonly table: StagingTable;
  readonly ledger: LedgerEntry;
  /** `null` when there was no page. */
  readonly encoded: EncodedPage | null;
}

export interface PageWithEvents extends PageBatch {
  readonly encoded: EncodedPage;
}
