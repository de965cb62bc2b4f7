/** What a job is made of: from where to where, by which settings, and who is told. */
import type { ApiClientOptions } from '../api/api-client.ts';
import type { Clock } from '../core/clock.ts';
import type { ColumnPlan } from '../core/column-plan.ts';
import type { Settings } from '../core/config.ts';
import type { JobObserver } from '../core/job-snapshot.ts';
import type { Logger } from '../core/logging.ts';
import type { DescribedSource } from './run/described-source.ts';

export interface JobSource {
  /** What people call it (`--source`): its table and its state are found by this name. */
  readonly name: string;
  /** Which data set it is: the API's base URL, or the demo's own name. */
  readonly address: string;
  readonly baseUrl: string;
  readonly apiKey: string;
  readonly databaseUrl: string;
  /** Else it is the DataSync API. */
  readonly described?: DescribedSource | null;
  /** How its records become rows; as those of DataSync unless given. */
  readonly plan?: ColumnPlan | undefined;
  /** Named after the source unless given. */
  readonly table?: string | undefined;
  /** Starts the server of the database again when it has ended, where the job is the one to do that. */
  readonly reviveDatabase?: () => Promise<void>;
}

export interface JobOptions {
  readonly settings: Settings;
  readonly source: JobSource;
  readonly logger: Logger;
  readonly secrets: readonly string[];
  readonly onSecret: (secret: string) => void;
  readonly observe?: JobObserver;
  /** Tests only: shorter waits than people need. */
  readonly waits?: Pick<ApiClientOptions, 'backoff' | 'streamLooks' | 'firstContactMs'>;
  /** Tests only: what --follow waits by. */
  readonly clock?: Clock;
}
