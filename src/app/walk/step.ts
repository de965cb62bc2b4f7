/** What an answer of the API comes to. */
import { NO_CURSOR, type RawPage } from '../../api/api-client.ts';
import type { AcceptedPage } from '../../core/accepted-page.ts';
import type { EncodedPage } from '../../core/encoded-page.ts';
import type { PagePlace } from '../../core/page-place.ts';
import { NO_PLACES, type LedgerEntry } from '../../core/state.ts';
import type { NextPage } from './cursor-age.ts';

/** What a page brings, and whether it may have lost events: the places of its row in the ledger. */
export type Brought = Pick<LedgerEntry, 'counts' | 'edge' | 'isDoubtful' | 'suspect'>;

/** What one answer came to, and so what the walk does next. */
export type Step =
  /** The page is accepted, and the walk goes on behind it (`advance`) or is over (`end`). */
  | {
      readonly kind: 'advance' | 'end';
      readonly raw: AcceptedPage['raw'];
      readonly encoded: EncodedPage | null;
      readonly brought: Brought;
      readonly next: NextPage;
    }
  /** The page lies above the window: passed over. */
  | { readonly kind: 'skip'; readonly next: NextPage }
  /** The same page is asked for again. `suspect`: what went wrong can have cost events. */
  | { readonly kind: 'retry'; readonly next: NextPage; readonly suspect: boolean }
  | { readonly kind: 'needs-chain' };

/** A page that is about to be counted. */
export interface ServedPage extends PagePlace {
  /** Bounds of its window. */
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
  /** It was asked for with bounds of time. */
  readonly isBounded: boolean;
  /** It is the last of its window. */
  readonly isEnd: boolean;
  readonly raw: RawPage;
  readonly encoded: EncodedPage;
}

/** A window ends without an event. */
export function endOfNothing(page: number, isDoubtful: boolean): Step {
  return {
    kind: 'end',
    raw: { receivedAtMs: Date.now(), serverDateMs: null, bodyBytes: 0 },
    encoded: null,
    brought: { counts: NO_PLACES, edge: null, isDoubtful, suspect: false },
    next: { page: page + 1, ...NO_CURSOR },
  };
}
