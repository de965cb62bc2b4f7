/**
 * Every metric, once: name, type, unit, labels, one sentence. The registry is built from this table, `docs/metrics.md`
 * repeats it, and a test holds the three together.
 *
 * Names follow OpenMetrics: the unit is the last word, counters end in `_total`.
 */

export interface MetricDescription<T extends string = 'counter' | 'gauge' | 'histogram'> {
  readonly type: T;
  readonly labels: readonly string[];
  readonly help: string;
}

const counter = (help: string, ...labels: string[]): MetricDescription<'counter'> => ({
  type: 'counter',
  labels,
  help,
});
const gauge = (help: string, ...labels: string[]): MetricDescription<'gauge'> => ({ type: 'gauge', labels, help });
const histogram = (help: string, ...labels: string[]): MetricDescription<'histogram'> => ({
  type: 'histogram',
  labels,
  help,
});

export const METRICS = {
  // What this process has moved.
  datasync_events_fetched_total: counter('Events in the pages that this process fetched.'),
  datasync_events_copied_total: counter('Events that this process copied into staging.'),
  datasync_pages_fetched_total: counter('Pages that this process fetched.'),
  datasync_fetched_bytes_total: counter('Bytes of page bodies that this process fetched.'),
  // The books of the run.
  datasync_events_served_total: counter('Events served in merged pages, all starts of the run together.'),
  datasync_events_loaded_total: counter('Merged pages’ events that became a row in staging: served less rejected.'),
  datasync_events_merged_total: counter('Events merged into ingested_events: inserted plus updated.'),
  datasync_events_inserted_total: counter('Events merged as a new row.'),
  datasync_events_updated_total: counter('Events merged over an older row of the same id.'),
  datasync_events_duplicates_total: counter('Events whose id was there already, and that changed nothing.'),
  datasync_events_rejected_total: counter('Events without a row; their bytes are kept as anomalies.'),
  datasync_events_repaired_total: counter('Events with a row that differs from what was served, visibly.'),
  datasync_anomalies_total: counter('Odd fields of events, by reason.', 'reason'),
  datasync_expected_events: gauge('Events the data set has, by the API’s own word; absent when it does not say.'),
  datasync_progress_ratio: gauge('Part of the expected events that is staged or merged, 0 to 1; absent when unknown.'),
  // The API.
  datasync_requests_total: counter('Requests sent, retries included.'),
  datasync_page_request_duration_seconds: histogram(
    'One request, from sending to the last byte; status "none" when no answer came.',
    'endpoint',
    'status',
  ),
  datasync_retries_total: counter('Requests sent again, by kind of failure.', 'kind'),
  datasync_rate_limited_total: counter('Answers 429.'),
  datasync_rate_limit_wait_duration_seconds: histogram('How long one request waited for its turn.'),
  datasync_waiting: gauge('1 while the job waits for what the label names.', 'reason', 'asked_by_api'),
  // What is on its way.
  datasync_pages_in_flight: gauge('Pages between request and COPY.'),
  datasync_in_flight_bytes: gauge('Bytes of pages in memory.'),
  datasync_in_flight_limit_bytes: gauge('Cap on bytes of pages in memory.'),
  datasync_encode_queue_pages: gauge('Pages that wait for a worker thread.'),
  datasync_copy_queue_pages: gauge('Batches that wait for a COPY connection.'),
  datasync_encode_duration_seconds: histogram('One page in a worker thread: decompress, scan, encode.'),
  // PostgreSQL.
  datasync_copy_duration_seconds: histogram('One batch: COPY and the commit with its ledger row.'),
  datasync_staged_rows: gauge('Rows in staging, not yet merged.'),
  datasync_merges_total: counter('Merges of this process.'),
  datasync_merge_duration_seconds: histogram('One merge transaction.', 'first_load'),
  datasync_last_merge_timestamp_seconds: gauge('When the last merge of this process ended; absent before.'),
  // The job.
  datasync_windows: gauge('Windows of the run, by whether they are walked to their end.', 'complete'),
  datasync_phase: gauge('1 for the phase the job is in.', 'phase'),
  datasync_start_timestamp_seconds: gauge('When this process began.'),
  datasync_last_progress_timestamp_seconds: gauge('When a page, a COPY or a merge last ended.'),
  datasync_exit_code: gauge('Exit code of the ended job; absent while it runs.'),
  datasync_event_loop_delay_seconds: gauge(
    'How late the main thread’s timers fired lately; resolution 1 ms.',
    'statistic',
  ),
  process_cpu_seconds_total: counter('Processor time of the process, all threads.'),
  process_resident_memory_bytes: gauge('Resident memory of the process.'),
} as const satisfies Readonly<Record<string, MetricDescription>>;

export type MetricName = keyof typeof METRICS;

/** Names of the metrics of one type. */
export type NamesOf<T extends MetricDescription['type']> = {
  [N in MetricName]: (typeof METRICS)[N]['type'] extends T ? N : never;
}[MetricName];
