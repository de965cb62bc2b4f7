/** What a run is worked on with. Types only. */
import type { ApiClient } from '../../api/api-client.ts';
import type { Settings } from '../../core/config.ts';
import type { InFlightLimit } from '../../core/in-flight-limit.ts';
import type { JobObserver } from '../../core/job-snapshot.ts';
import type { Logger } from '../../core/logging.ts';
import type { PageBuffers } from '../../core/page-buffers.ts';
import type { Database } from '../../load/postgres/database.ts';
import type { Ownership } from '../../load/state/owner.ts';
import type { StateStore } from '../../load/state/state-store.ts';
import type { PageEncoder } from '../../threads/page-encoder.ts';
import type { FirstAnswer } from '../walk/first-answer.ts';
import type { EndpointTraits } from '../walk/endpoint-traits.ts';
import type { JobCounters } from './job-counters.ts';

export interface RunParts {
  readonly settings: Settings;
  /** Of this run: a round of --follow needs less than a start. */
  readonly walk: Pick<Settings, 'pageSize' | 'concurrency'>;
  readonly logger: Logger;
  readonly observe: JobObserver;
  readonly counters: JobCounters;
  readonly client: ApiClient;
  readonly inFlight: InFlightLimit;
  readonly encoder: PageEncoder;
  readonly buffers: PageBuffers;
  readonly db: Database;
  readonly ownership: Ownership;
  readonly store: StateStore;
  readonly traits: EndpointTraits;
  /** What a look has brought before the run began. */
  readonly first?: FirstAnswer | undefined;
  /** A stop was asked for: no further page. */
  readonly isStopping: () => boolean;
}
