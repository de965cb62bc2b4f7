/** What an answer is judged with, and the walk that it belongs to. Types only. */
import type { ApiClient } from '../../api/api-client.ts';
import type { Logger } from '../../core/logging.ts';
import type { CountMarks } from '../../core/state.ts';
import type { BrokenEventSearch } from './broken-event-search.ts';
import type { Chain } from './chain.ts';
import type { EmptyRanges } from './empty-ranges.ts';
import type { EndpointTraits } from './endpoint-traits.ts';
import type { PageLimit } from './page-limit.ts';
import type { ServedPage } from './step.ts';
import type { WalkPosition } from './walk-position.ts';

export interface JudgeOptions {
  readonly client: Pick<ApiClient, 'bounds' | 'reportFaultyPage'>;
  readonly traits: EndpointTraits;
  readonly logger: Logger;
  /** What a page's places are counted by. Called once for each page that is counted, in order. */
  readonly marks: (page: ServedPage) => CountMarks;
  readonly onRetry: (kind: string) => void;
}

/** The walk that an answer belongs to. */
export interface JudgedWalk {
  readonly windowId: number;
  readonly position: WalkPosition;
  readonly chain: Chain;
  readonly limit: PageLimit;
  readonly encoder: BrokenEventSearch;
  /** Where this walk and those beside it have been shown that nothing lies. */
  readonly emptyRanges: EmptyRanges;
  /** An earlier walk was served events that lie in the window. */
  readonly isInhabited: boolean;
  /** An earlier process was given the cursor that this walk begins with; `null`: it begins without one. */
  readonly storedCursor: string | null;
}
