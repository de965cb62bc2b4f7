/** A page that passed all checks, and its row in the ledger. */
import type { EncodedPage } from './encoded-page.ts';
import type { LedgerEntry } from './state.ts';
import type { Permit } from './in-flight-limit.ts';

/** From here on it is the loader's, who releases its permit. */
export interface AcceptedPage {
  /** As the response brought it: when its last byte came, the API's own clock, its length. Epoch ms; bytes. */
  readonly raw: { readonly receivedAtMs: number; readonly serverDateMs: number | null; readonly bodyBytes: number };
  /** `null` when there was no page: the API says that nothing lies in the window. */
  readonly encoded: EncodedPage | null;
  readonly ledger: LedgerEntry;
  readonly permit: Permit;
}

/** Where a walk goes on after a page. */
export type AfterPage = Omit<LedgerEntry, 'served' | 'loaded' | 'rejected' | 'repaired' | 'lastEventId' | 'oldestMs'>;

export function ledgerEntry(after: AfterPage, encoded: EncodedPage | null): LedgerEntry {
  return {
    ...after,
    lastEventId: encoded?.lastEventId ?? null,
    oldestMs: encoded?.times?.oldestMs ?? null,
    served: encoded?.servedCount ?? 0,
    loaded: encoded?.rowCount ?? 0,
    rejected: encoded?.rejectedCount ?? 0,
    repaired: encoded?.repairedCount ?? 0,
  };
}
