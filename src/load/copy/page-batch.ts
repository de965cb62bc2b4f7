/** One encoded page on its way into staging. */
import type { IdColumnTypes, PageAnomaly } from '../../core/encoded-page.ts';
import type { LedgerEntry } from '../../core/state.ts';
import type { StagingTable } from '../schema/staging.ts';

/** The caller keeps the bytes unchanged until the page is loaded: it may be loaded again, split, or quoted. */
export interface PageBatch {
  readonly table: StagingTable;
  /** A complete binary COPY stream; may be empty when `rowCount` is 0. */
  readonly rows: Uint8Array;
  readonly rowCount: number;
  /** What the rows were encoded for; `null` only when there are none. */
  readonly idColumnTypes: IdColumnTypes | null;
  readonly ledger: LedgerEntry;
  readonly anomalies: readonly PageAnomaly[];
  /** The decompressed page, to quote refused events from. */
  readonly body: Uint8Array;
  /** Where each event begins in it, in serving order. */
  readonly starts: Uint32Array;
}
