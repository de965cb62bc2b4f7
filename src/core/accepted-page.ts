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
