/**
 * Every metric, once: name, type, one sentence, where its value comes from, labels. The registry is built from this
 * table, and `npm run docs` writes it into `docs/metrics.md`.
 *
 * Names follow OpenMetrics: the unit is the last word, counters end in `_total`.
 */
import { JOB_PHASES, lagMs, type JobSnapshot } from '../../core/job-snapshot.ts';
import { progressRatio } from '../progress-estimate.ts';
import type { EventLoopDelay } from './event-loop-delay.ts';

export interface Reading {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** `null` and an empty list: the metric has no value yet and is absent, since 0 would be a lie. */
type Read = (job: JobSnapshot, eventLoop: EventLoopDelay) => number | null | readonly Reading[];

interface Described<T extends string> {
  readonly type: T;
  readonly help: string;
  readonly labels: readonly string[];
}

/** Read when somebody scrapes. */
export interface ReadMetric extends Described<'counter' | 'gauge'> {
  readonly read: Read;
}

/** Observed when something happens; the bounds of its buckets are seconds. */
export interface HistogramMetric extends Described<'histogram'> {
  readonly buckets: readonly number[];
}

function counter(help: string, read: Read, ...labels: string[]): ReadMetric {
  return { type: 'counter', help, labels, read };
}

function gauge(help: string, read: Read, ...labels: string[]): ReadMetric {
  return { type: 'gauge', help, labels, read };
}

function histogram(help: string, buckets: readonly number[], ...labels: string[]): HistogramMetric {
  return { type: 'histogram', help, labels, buckets };
}

function byLabel(label: string, values: Readonly<Record<string, number>>): readonly Reading[] {
  return Object.entries(values).map(([key, value]) => ({ labels: { [label]: key }, value }));
}

/** From a page out of a cache to one that takes a whole timeout. */
const REQUEST_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const WORK_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
const MERGE_BUCKETS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const WAIT_BUCKETS = [0.001, 0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300];

export const METRICS = {
  // What this process has moved.
  datasync_events_fetched_total: counter('Events in the pages that this process fetched.', (job) => job.fetchedEvents),
  datasync_events_copied_total: counter('Events that this process copied into staging.', (job) => job.copiedEvents),
  datasync_pages_fetched_total: counter('Pages that this process fetched.', (job) => job.fetchedPages),
  datasync_fetched_bytes_total: counter('Bytes of page bodies that this process fetched.', (job) => job.fetchedBytes),

  // The counts of the run.
  datasync_events_served_total: counter(
    'Events served in merged pages, all starts of the run together.',
    ({ counts }) => counts.served,
  ),
  datasync_events_loaded_total: counter(
    'Events of merged pages that became a row in staging: served less rejected.',
    ({ counts }) => counts.loaded,
  ),
  datasync_events_merged_total: counter(
    'Events merged into the table: inserted plus updated.',
    ({ counts }) => counts.inserted + counts.updated,
  ),
  datasync_events_inserted_total: counter('Events merged as a new row.', ({ counts }) => counts.inserted),
  datasync_events_updated_total: counter(
    'Events merged over an older row of the same id.',
    ({ counts }) => counts.updated,
  ),
  datasync_events_duplicates_total: counter(
    'Events whose id was there already and that changed nothing.',
    ({ counts }) => counts.duplicates,
  ),
  datasync_events_rejected_total: counter(
    'Events without a row; their bytes are kept as anomalies.',
    ({ counts }) => counts.rejected,
  ),
  datasync_events_repaired_total: counter(
    'Events whose row visibly differs from what was served.',
    ({ counts }) => counts.repaired,
  ),
  datasync_anomalies_total: counter(
    'Unusual fields of events, by reason.',
    (job) => byLabel('reason', job.anomaliesByReason),
    'reason',
  ),
  datasync_expected_events: gauge(
    'Events that the API says the data set has; absent when it does not say.',
    (job) => job.totalEvents,
  ),
  datasync_progress_ratio: gauge(
    'Part of the expected events that is staged or merged, 0 to 1; absent when unknown.',
    progressRatio,
  ),

  // The API.
  datasync_requests_total: counter('Requests sent, retries included.', (job) => job.requests),
  datasync_page_request_duration_seconds: histogram(
    'One request, from sending to the last byte; status "none" when no answer came.',
    REQUEST_BUCKETS,
    'endpoint',
    'status',
  ),
  datasync_retries_total: counter(
    'Requests sent again, by kind of failure.',
    (job) => byLabel('kind', job.retriesByKind),
    'kind',
  ),
  datasync_rate_limited_total: counter('Answers with status 429.', (job) => job.rateLimited),
  datasync_rate_limit_wait_duration_seconds: histogram('How long one request waited for its turn.', WAIT_BUCKETS),
  datasync_waiting: gauge(
    '1 while the job waits for what the label names.',
    ({ waiting }) =>
      waiting === null
        ? []
        : [{ labels: { reason: kindOfWait(waiting.reason), asked_by_api: String(waiting.askedByApi) }, value: 1 }],
    'reason',
    'asked_by_api',
  ),

  // What is on its way.
  datasync_pages_in_flight: gauge('Pages between request and COPY.', (job) => job.pagesInFlight),
  datasync_in_flight_bytes: gauge('Bytes of pages in memory.', (job) => job.bytesInFlight),
  datasync_in_flight_limit_bytes: gauge('Cap on bytes of pages in memory.', (job) => job.maxBytesInFlight),
  datasync_encode_queue_pages: gauge('Pages that wait for a worker thread.', (job) => job.encodeQueue),
  datasync_copy_queue_pages: gauge('Batches that wait for a COPY connection.', (job) => job.copyQueue),
  datasync_encode_duration_seconds: histogram('One page in a worker thread: decompress, scan, encode.', WORK_BUCKETS),

  // PostgreSQL.
  datasync_copy_duration_seconds: histogram('One batch: COPY and the commit with its ledger row.', WORK_BUCKETS),
  datasync_staged_rows: gauge('Rows in staging, not yet merged.', (job) => job.stagedRows),
  datasync_merges_total: counter('Merges of this process.', (job) => job.merges),
  datasync_merge_duration_seconds: histogram('One merge transaction.', MERGE_BUCKETS, 'first_load'),
  datasync_last_merge_timestamp_seconds: gauge(
    'When the last merge of this process ended; absent before the first.',
    ({ lastMerges }) => {
      const last = lastMerges.at(-1);
      return last === undefined ? null : last.atMs / 1000;
    },
  ),

  // The job.
  datasync_windows: gauge(
    'Windows of the run, by whether they are walked to their end.',
    ({ windows }) => {
      const complete = windows.filter((window) => window.complete).length;
      return byLabel('complete', { true: complete, false: windows.length - complete });
    },
    'complete',
  ),
  datasync_phase: gauge(
    '1 for the phase that the job is in.',
    (job) => JOB_PHASES.map((phase) => ({ labels: { phase }, value: phase === job.phase ? 1 : 0 })),
    'phase',
  ),
  datasync_start_timestamp_seconds: gauge('When this process began.', (job) => job.startedAtMs / 1000),
  datasync_last_progress_timestamp_seconds: gauge(
    'When a page, a COPY or a merge last ended.',
    (job) => job.lastProgressMs / 1000,
  ),
  datasync_proof: gauge(
    '1 for what the run is proven complete by: count, api-end or none; absent until it is finished.',
    ({ proof }) => (proof === null ? [] : [{ labels: { kind: proof.kind }, value: 1 }]),
    'kind',
  ),
  datasync_lag_seconds: gauge('With --follow: how old the newest event is.', (job) => {
    const lag = lagMs(job, Date.now());
    return lag === null ? null : lag / 1000;
  }),
  datasync_looks_total: counter('With --follow: looks at the newest page.', ({ follow }) => follow?.looks ?? null),
  datasync_new_events_total: counter(
    'With --follow: events that rounds of this process have inserted or updated.',
    ({ follow }) => follow?.takenEvents ?? null,
  ),
  datasync_last_new_event_timestamp_seconds: gauge(
    'With --follow: when something new was last taken; absent before that.',
    ({ follow }) => secondsOf(follow?.lastTakenMs),
  ),
  datasync_last_proof_timestamp_seconds: gauge(
    'With --follow: when the count of the API was last held against what came, by this process or an earlier one, by the kind of proof.',
    ({ follow }) => {
      const proof = follow?.lastProof ?? null;
      return proof === null ? [] : [{ labels: { kind: proof.kind }, value: proof.atMs / 1000 }];
    },
    'kind',
  ),
  datasync_unproven_exit_code: gauge(
    'With --follow: the exit code that the last run which was to prove something would have ended with; 0 when it is proven.',
    ({ follow }) => (follow === null ? null : (follow.unproven?.exitCode ?? 0)),
  ),
  datasync_away_seconds: gauge(
    'With --follow: how long it has waited for the API, at the start also for the database; 0 while it is served.',
    ({ follow }) => (follow === null ? null : follow.away === null ? 0 : (Date.now() - follow.away.sinceMs) / 1000),
  ),
  datasync_exit_code: gauge(
    'Exit code of the ended job; absent while it runs.',
    ({ ended }) => ended?.exitCode ?? null,
  ),
  datasync_event_loop_delay_seconds: gauge(
    'How late the timers of the main thread fired lately; resolution 1 ms.',
    (_job, eventLoop) => byLabel('statistic', { ...eventLoop }),
    'statistic',
  ),
  process_cpu_seconds_total: counter('Processor time of the process, all threads.', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  }),
  process_resident_memory_bytes: gauge('Resident memory of the process.', () => process.memoryUsage.rss()),
} as const satisfies Readonly<Record<string, ReadMetric | HistogramMetric>>;

export type HistogramName = {
  [N in keyof typeof METRICS]: (typeof METRICS)[N] extends HistogramMetric ? N : never;
}[keyof typeof METRICS];

function secondsOf(ms: number | null | undefined): number | null {
  return typeof ms === 'number' ? ms / 1000 : null;
}

/** What follows the colon differs each time (request ids, excerpts) and would make a time series each. */
function kindOfWait(reason: string): string {
  return reason.replace(/:.*/s, '');
}
