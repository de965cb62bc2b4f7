/** The API client of a job. */
import { ApiClient, clientOptions, type ApiClientOptions } from '../../api/api-client.ts';
import type { Settings } from '../../core/config.ts';
import type { JobObserver } from '../../core/job-snapshot.ts';
import type { PageBuffers } from '../../core/page-buffers.ts';
import type { JobOptions } from '../job-options.ts';
import type { DescribedSource } from './described-source.ts';
import type { JobCounters } from './job-counters.ts';

/** A body may take a quarter of the memory in flight, because its rows and other pages must fit in beside it. */
const PAGES_THAT_FIT_MEMORY = 4;

interface ClientOf extends Pick<ApiClientOptions, 'baseUrl' | 'apiKey'> {
  readonly described?: DescribedSource | null;
}

interface ClientNeeds extends Required<Pick<ApiClientOptions, 'logger' | 'secrets' | 'onSecret'>> {
  readonly settings: Settings;
  readonly source: ClientOf;
  readonly observe?: JobObserver;
  /** Tests only. */
  readonly waits?: JobOptions['waits'];
}

export function openClient(
  { settings, source, logger, secrets, onSecret, observe = {}, waits }: ClientNeeds,
  buffers: PageBuffers,
  counters: Pick<JobCounters, 'retry'>,
): ApiClient {
  const { baseUrl, apiKey, described = null } = source;
  return new ApiClient({
    ...clientOptions(settings),
    ...waits,
    wire: described?.wire(settings.userAgent) ?? null,
    baseUrl,
    apiKey,
    // On loopback, compression costs more than it saves.
    acceptCompression: !['localhost', '127.0.0.1', '[::1]'].includes(new URL(baseUrl).hostname),
    maxPageBytes: Math.floor(settings.maxBytesInFlight / PAGES_THAT_FIT_MEMORY),
    logger,
    buffers,
    secrets,
    onSecret,
    observe: {
      request: (kind, status, ms) => observe.pageRequest?.(ms / 1000, kind, status),
      retry: (kind) => {
        counters.retry(kind);
      },
      rateLimitWait: (ms) => observe.rateLimitWait?.(ms / 1000),
    },
  });
}
