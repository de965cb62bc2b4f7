/**
 * What a scrape reads off the job: a value for every gauge and counter of the table. Pure but for the process's own
 * figures.
 */
import type { EventLoopDelay } from './event-loop-delay.ts';
import type { JobPhase, JobSnapshot } from '../../core/job-snapshot.ts';
import type { NamesOf } from './metric-table.ts';

export interface Reading {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Every gauge and counter; an empty list is a metric without a value yet. */
export type Readings = Readonly<Record<NamesOf<'gauge'> | NamesOf<'counter'>, readonly Reading[]>>;

const PHASES: readonly JobPhase[] = ['starting', 'discovering', 'loading', 'merging', 'verifying', 'stopping', 'ended'];

const one = (value: number): readonly Reading[] => [{ labels: {}, value }];

/** A value that may be unknown: absent then, since 0 would be a lie. */
const known = (value: number | null): readonly Reading[] => (value === null ? [] : one(value));

const each = (label: string, values: Readonly<Record<string, number>>): readonly Reading[] =>
  Object.entries(values).map(([key, value]) => ({ labels: { [label]: key }, value }));

/** @param progressRatio 0 to 1, `null` when unknown */
export function readMetrics(snapshot: JobSnapshot, progressRatio: number | null, delay: EventLoopDelay): Readings {
  const { counts, waiting } = snapshot;
  const complete = snapshot.windows.filter((window) => window.complete).length;
  const cpu = process.cpuUsage();
  return {
    datasync_events_fetched_total: one(snapshot.fetchedEvents),
    datasync_events_copied_total: one(snapshot.copiedEvents),
    datasync_pages_fetched_total: one(snapshot.fetchedPages),
    datasync_fetched_bytes_total: one(snapshot.fetchedBytes),
    datasync_events_served_total: one(counts.served),
    datasync_events_loaded_total: one(counts.loaded),
    datasync_events_merged_total: one(counts.inserted + counts.updated),
    datasync_events_inserted_total: one(counts.inserted),
    datasync_events_updated_total: one(counts.updated),
    datasync_events_duplicates_total: one(counts.duplicates),
    datasync_events_rejected_total: one(counts.rejected),
    datasync_events_repaired_total: one(counts.repaired),
    datasync_anomalies_total: each('reason', snapshot.anomaliesByReason),
    datasync_expected_events: known(snapshot.totalEvents),
    datasync_progress_ratio: known(progressRatio),
    datasync_requests_total: one(snapshot.requests),
    datasync_retries_total: each('kind', snapshot.retriesByKind),
    datasync_rate_limited_total: one(snapshot.rateLimited),
    datasync_waiting:
      waiting === null
        ? []
        : [{ labels: { reason: kindOfWait(waiting.reason), asked_by_api: String(waiting.askedByApi) }, value: 1 }],
    datasync_pages_in_flight: one(snapshot.pagesInFlight),
    datasync_in_flight_bytes: one(snapshot.bytesInFlight),
    datasync_in_flight_limit_bytes: one(snapshot.maxBytesInFlight),
    datasync_encode_queue_pages: one(snapshot.encodeQueue),
    datasync_copy_queue_pages: one(snapshot.copyQueue),
    datasync_staged_rows: one(snapshot.stagedRows),
    datasync_merges_total: one(snapshot.merges),
    datasync_last_merge_timestamp_seconds: known(snapshot.lastMerge === null ? null : snapshot.lastMerge.atMs / 1000),
    datasync_windows: [
      { labels: { complete: 'true' }, value: complete },
      { labels: { complete: 'false' }, value: snapshot.windows.length - complete },
    ],
    datasync_phase: PHASES.map((phase) => ({ labels: { phase }, value: phase === snapshot.phase ? 1 : 0 })),
    datasync_start_timestamp_seconds: one(snapshot.startedAtMs / 1000),
    datasync_last_progress_timestamp_seconds: one(snapshot.lastProgressMs / 1000),
    datasync_exit_code: known(snapshot.ended?.exitCode ?? null),
    datasync_event_loop_delay_seconds: each('statistic', { ...delay }),
    process_cpu_seconds_total: one((cpu.user + cpu.system) / 1e6),
    process_resident_memory_bytes: one(process.memoryUsage.rss()),
  };
}

/** What follows the colon differs each time (request ids, excerpts): as labels, a time series each. */
const kindOfWait = (reason: string): string => reason.replace(/:.*/s, '');
