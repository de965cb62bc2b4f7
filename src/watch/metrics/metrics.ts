/**
 * The one home of prom-client. What the job's snapshot knows is read when somebody scrapes, and costs nothing before;
 * only durations are observed as they happen, once a page or a merge.
 */
import { Counter, Gauge, Histogram, Registry, type RegistryContentType } from 'prom-client';
import type { JobObserver, JobSnapshot } from '../../core/job-snapshot.ts';
import { startEventLoopMonitor } from './event-loop-delay.ts';
import { METRICS, type HistogramMetric, type HistogramName, type ReadMetric } from './metric-table.ts';

export interface Metrics {
  /** What the stages of the job report to. */
  readonly observe: Required<JobObserver>;
  /** @param openMetrics OpenMetrics 1.0 text, else Prometheus 0.0.4 */
  readonly text: (openMetrics: boolean) => Promise<{ readonly contentType: string; readonly body: string }>;
  /** Stops what measures; the last values can still be read. */
  readonly close: () => void;
}

/** @param snapshot called once a scrape */
export function createMetrics(snapshot: () => JobSnapshot): Metrics {
  const eventLoop = startEventLoopMonitor();
  const pageRequest = histogramOf('datasync_page_request_duration_seconds');
  const rateLimitWait = histogramOf('datasync_rate_limit_wait_duration_seconds');
  const encode = histogramOf('datasync_encode_duration_seconds');
  const copy = histogramOf('datasync_copy_duration_seconds');
  const merge = histogramOf('datasync_merge_duration_seconds');
  return {
    observe: {
      pageRequest: (seconds, endpoint, status) => {
        pageRequest.observe({ endpoint, status: status ?? 'none' }, seconds);
      },
      rateLimitWait: (seconds) => {
        rateLimitWait.observe(seconds);
      },
      encode: (seconds) => {
        encode.observe(seconds);
      },
      copy: (seconds) => {
        copy.observe(seconds);
      },
      merge: (seconds, isInitialMerge) => {
        merge.observe({ first_load: String(isInitialMerge) }, seconds);
      },
    },
    async text(openMetrics) {
      // A registry a scrape: prom-client renames its counters for good when it writes OpenMetrics, and two scrapes at
      // once must not see each other's half.
      const registry = new Registry<RegistryContentType>();
      registry.setContentType(openMetrics ? Registry.OPENMETRICS_CONTENT_TYPE : Registry.PROMETHEUS_CONTENT_TYPE);
      const job = snapshot();
      const delay = eventLoop.read();
      const metrics: [string, ReadMetric | HistogramMetric][] = Object.entries(METRICS);
      for (const [name, metric] of metrics) {
        if (metric.type !== 'histogram') addReadings(registry, name, metric, metric.read(job, delay));
      }
      for (const observed of [pageRequest, rateLimitWait, encode, copy, merge]) registry.registerMetric(observed);
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
    close: () => {
      eventLoop.stop();
    },
  };
}

function histogramOf(name: HistogramName): Histogram {
  const { help, labels, buckets } = METRICS[name];
  return new Histogram({ name, help, labelNames: [...labels], buckets: [...buckets], registers: [] });
}

function addReadings(
  registry: Registry<RegistryContentType>,
  name: string,
  { type, help, labels }: ReadMetric,
  value: ReturnType<ReadMetric['read']>,
): void {
  const options = { name, help, labelNames: [...labels], registers: [registry] };
  const metric = type === 'counter' ? new Counter(options) : new Gauge(options);
  if (typeof value === 'number') metric.inc(value);
  // Without labels prom-client begins with 0; unknown is not 0.
  else if (value === null) metric.remove();
  else for (const reading of value) metric.inc(reading.labels, reading.value);
}
