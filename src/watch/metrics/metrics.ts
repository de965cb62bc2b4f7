/**
 * The one home of prom-client. What the job's snapshot knows is read when somebody scrapes, and costs nothing before;
 * only durations are observed as they happen, once a page or a merge.
 */
import { Counter, Gauge, Histogram, Registry, type RegistryContentType } from 'prom-client';
import { startEventLoopMonitor } from './event-loop-delay.ts';
import type { JobSnapshot } from '../../core/job-snapshot.ts';
import { type Reading, readMetrics } from './metric-readings.ts';
import { METRICS, type MetricName, type NamesOf } from './metric-table.ts';
import { progressRatio } from '../progress-estimate.ts';
import { type DurationSummary, RecentDurations } from './recent-durations.ts';

/** From a page out of a cache to one that needs a whole timeout, seconds. */
const REQUEST_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const WORK_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
const MERGE_BUCKETS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const WAIT_BUCKETS = [0.001, 0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300];

/** What stages tell, all in seconds. */
export interface MetricObservers {
  /** One request to the API; `status` is `null` when no answer came. */
  readonly pageRequest: (seconds: number, endpoint: string, status: number | null) => void;
  readonly copy: (seconds: number) => void;
  readonly merge: (seconds: number, isInitialMerge: boolean) => void;
  readonly encode: (seconds: number) => void;
  /** A request waited this long for its turn. */
  readonly rateLimitWait: (seconds: number) => void;
}

/** The latest durations, for the live page; `null` before the first. */
export interface RecentWork {
  readonly pageRequest: DurationSummary | null;
  readonly copy: DurationSummary | null;
  readonly merge: DurationSummary | null;
  readonly encode: DurationSummary | null;
  readonly rateLimitWait: DurationSummary | null;
}

export interface Metrics {
  readonly observe: MetricObservers;
  readonly recent: () => RecentWork;
  /** @param openMetrics OpenMetrics 1.0 text, else Prometheus 0.0.4 */
  readonly text: (openMetrics: boolean) => Promise<{ readonly contentType: string; readonly body: string }>;
  /** Stops what measures; the last values can still be read. */
  readonly close: () => void;
}

/** @param snapshot called once a scrape */
export function createMetrics(snapshot: () => JobSnapshot): Metrics {
  const eventLoop = startEventLoopMonitor();
  const histogramOf = (name: NamesOf<'histogram'>, buckets: number[]) =>
    new Histogram({ ...configurationOf(name), buckets, registers: [] });
  const pageRequest = histogramOf('datasync_page_request_duration_seconds', REQUEST_BUCKETS);
  const rateLimitWait = histogramOf('datasync_rate_limit_wait_duration_seconds', WAIT_BUCKETS);
  const encode = histogramOf('datasync_encode_duration_seconds', WORK_BUCKETS);
  const copy = histogramOf('datasync_copy_duration_seconds', WORK_BUCKETS);
  const merge = histogramOf('datasync_merge_duration_seconds', MERGE_BUCKETS);
  const recent = {
    pageRequest: new RecentDurations(),
    copy: new RecentDurations(),
    merge: new RecentDurations(),
    encode: new RecentDurations(),
    rateLimitWait: new RecentDurations(),
  };

  const histograms = [pageRequest, rateLimitWait, encode, copy, merge];

  return {
    observe: {
      pageRequest(seconds, endpoint, status) {
        pageRequest.observe({ endpoint, status: status === null ? 'none' : String(status) }, seconds);
        recent.pageRequest.add(seconds);
      },
      copy(seconds) {
        copy.observe(seconds);
        recent.copy.add(seconds);
      },
      merge(seconds, isInitialMerge) {
        merge.observe({ first_load: String(isInitialMerge) }, seconds);
        recent.merge.add(seconds);
      },
      encode(seconds) {
        encode.observe(seconds);
        recent.encode.add(seconds);
      },
      rateLimitWait(seconds) {
        rateLimitWait.observe(seconds);
        recent.rateLimitWait.add(seconds);
      },
    },
    recent: () => ({
      pageRequest: recent.pageRequest.summary(),
      copy: recent.copy.summary(),
      merge: recent.merge.summary(),
      encode: recent.encode.summary(),
      rateLimitWait: recent.rateLimitWait.summary(),
    }),
    async text(openMetrics) {
      // A registry a scrape: prom-client renames its counters for good when it writes OpenMetrics, and two scrapes at
      // once must not see each other's half.
      const registry = new Registry<RegistryContentType>();
      registry.setContentType(openMetrics ? Registry.OPENMETRICS_CONTENT_TYPE : Registry.PROMETHEUS_CONTENT_TYPE);
      const now = snapshot();
      for (const [name, readings] of Object.entries(readMetrics(now, progressRatio(now), eventLoop.read()))) {
        addReadings(registry, name, readings);
      }
      for (const metric of histograms) registry.registerMetric(metric);
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
    close() {
      eventLoop.stop();
    },
  };
}

function configurationOf(name: MetricName) {
  return { name, help: METRICS[name].help, labelNames: [...METRICS[name].labels] };
}

function isMetricName(name: string): name is MetricName {
  return Object.hasOwn(METRICS, name);
}

function addReadings(registry: Registry<RegistryContentType>, name: string, readings: readonly Reading[]): void {
  if (!isMetricName(name)) throw new Error(`${name} is not in the table of metrics`);
  const options = { ...configurationOf(name), registers: [registry] };
  const metric = METRICS[name].type === 'counter' ? new Counter(options) : new Gauge(options);
  if (readings.length === 0) {
    // Without labels prom-client begins with 0; unknown is not 0.
    if (METRICS[name].labels.length === 0) metric.remove();
    return;
  }
  for (const { labels, value } of readings) metric.inc(labels, value);
}
