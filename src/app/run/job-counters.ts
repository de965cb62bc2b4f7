/** The figures of a job, counted where things happen and read by whoever watches. */
import type { JobPhase, JobSnapshot, WindowSnapshot } from '../../core/job-snapshot.ts';
import { NO_COUNTS, type Run, type RunCounts, type WindowState } from '../../core/state.ts';
import type { WorkerPool } from '../../threads/worker-pool.ts';
import type { MergeResult } from '../../load/merge/merge.ts';
import type { ApiClient } from '../../api/api-client.ts';
import type { AcceptedPage } from '../../core/accepted-page.ts';
import type { ApiStreamReader } from '../api-stream-reader.ts';
import type { InFlightLimit } from '../../core/in-flight-limit.ts';

/** Parts of the job that know their own state. */
export interface LiveParts {
  readonly client: ApiClient;
  readonly pool: WorkerPool;
  readonly inFlight: InFlightLimit;
  readonly copying: number;
  readonly isMerging: boolean;
  readonly readers: readonly ApiStreamReader[];
}

export class JobCounters {
  phase: JobPhase = 'starting';
  /** Why the database is waited for; `null` when it is not. */
  databaseWait: string | null = null;
  /** The run's counts, as merged. */
  counts: RunCounts = NO_COUNTS;
  fetchedEvents = 0;

  readonly #source: string;
  readonly #startedAtMs = Date.now();
  #run: Run | null = null;
  #lastProgressMs = Date.now();
  #pass = 1;
  #total: number | null = null;
  #fetchedPages = 0;
  #fetchedBytes = 0;
  #copiedEvents = 0;
  #mergedEvents = 0;
  /** Rejected in pages that are copied and not merged. */
  #stagedRejected = 0;
  #merges = 0;
  #lastMerge: JobSnapshot['lastMerge'] = null;
  #newestEventMs: number | null = null;
  readonly #safeToMs = new Map<number, number>();
  /** Rows of the target, when this process found it empty: all that the server says it inserted since. */
  rowsSinceEmpty: number | null = null;
  readonly #retries = new Map<string, number>();
  readonly #anomalies = new Map<string, number>();

  constructor(source: string) {
    this.#source = source;
  }

  /** Rejected by the run so far, merged or staged. */
  get rejected(): number {
    return this.counts.rejected + this.#stagedRejected;
  }

  get copiedEvents(): number {
    return this.#copiedEvents;
  }

  begin(run: Run): void {
    this.#run = run;
    this.counts = run.counts;
    this.#pass = run.pass;
    this.#total = run.passTotal;
    this.#newestEventMs = run.newestMs;
  }

  beginPass(pass: number): void {
    this.#pass = pass;
  }

  set total(total: number | null) {
    this.#total = total;
  }

  page(page: AcceptedPage): void {
    this.#lastProgressMs = Date.now();
    this.#fetchedPages += 1;
    this.#fetchedBytes += page.raw.bodyBytes;
    this.fetchedEvents += page.ledger.served;
    const times = page.encoded?.times;
    // Otherwise one wrong clock would be the newest.
    if (times?.descending === true) this.#newestEventMs = Math.max(times.newestMs, this.#newestEventMs ?? -Infinity);
    for (const { kind, field, reason } of page.encoded?.anomalies ?? []) {
      const key = `${kind} ${field}: ${reason}`;
      this.#anomalies.set(key, (this.#anomalies.get(key) ?? 0) + 1);
    }
  }

  /** How far down windows are safe: after a merge, and where a start finds them. */
  safe(states: readonly Pick<WindowState, 'windowId' | 'lastEventMs'>[]): void {
    for (const { windowId, lastEventMs } of states) {
      if (lastEventMs !== null) this.#safeToMs.set(windowId, lastEventMs);
    }
  }

  copied(events: number, rejected: number): void {
    this.#lastProgressMs = Date.now();
    this.#copiedEvents += events;
    this.#stagedRejected += rejected;
  }

  merged(result: MergeResult): void {
    this.#lastProgressMs = Date.now();
    this.#merges += 1;
    this.#mergedEvents += result.loaded;
    this.#stagedRejected = Math.max(0, this.#stagedRejected - result.rejected);
    this.#lastMerge = { atMs: Date.now(), seconds: result.seconds, events: result.loaded };
    if (result.isInitialMerge) this.rowsSinceEmpty = result.inserted;
    else if (this.rowsSinceEmpty !== null) this.rowsSinceEmpty += result.inserted;
    const { counts } = this;
    this.counts = {
      pages: counts.pages + result.pages,
      served: counts.served + result.served,
      loaded: counts.loaded + result.loaded,
      inserted: counts.inserted + result.inserted,
      updated: counts.updated + result.updated,
      duplicates: counts.duplicates + result.duplicates,
      rejected: counts.rejected + result.rejected,
      repaired: counts.repaired + result.repaired,
      servedTwiceInChain: counts.servedTwiceInChain + result.servedTwiceInChain,
    };
  }

  /** What was staged is gone; it is fetched again. @returns how many events */
  stagingLost(): number {
    const lost = this.#copiedEvents - this.#mergedEvents;
    this.#copiedEvents = this.#mergedEvents;
    this.#stagedRejected = 0;
    return lost;
  }

  retry(kind: string): void {
    this.#retries.set(kind, (this.#retries.get(kind) ?? 0) + 1);
  }

  snapshot(parts: LiveParts): JobSnapshot {
    const { client, pool, inFlight, copying, isMerging, readers } = parts;
    return {
      phase: this.phase,
      source: this.#source,
      endpoint: this.#run === null ? null : client.endpoint,
      runId: this.#run?.runId ?? null,
      pass: this.#pass,
      startedAtMs: this.#startedAtMs,
      lastProgressMs: this.#lastProgressMs,
      totalEvents: this.#total,
      counts: this.counts,
      fetchedEvents: this.fetchedEvents,
      fetchedPages: this.#fetchedPages,
      fetchedBytes: this.#fetchedBytes,
      copiedEvents: this.#copiedEvents,
      mergedEvents: this.#mergedEvents,
      requests: client.requests,
      pagesInFlight: inFlight.pages,
      bytesInFlight: inFlight.bytes,
      maxBytesInFlight: inFlight.maxBytes,
      encodeQueue: pool.queued,
      copyQueue: copying,
      stagedRows: Math.max(0, this.#copiedEvents - this.#mergedEvents),
      waiting: this.#waiting(client, isMerging),
      retriesByKind: Object.fromEntries(this.#retries),
      rateLimited: this.#retries.get('rate-limit') ?? 0,
      anomaliesByReason: Object.fromEntries(this.#anomalies),
      merges: this.#merges,
      lastMerge: this.#lastMerge,
      newestEventMs: this.#newestEventMs,
      windows: readers.map((reader) => describeWindow(reader, this.#safeToMs.get(reader.windowId) ?? null)),
      ended: null,
    };
  }

  #waiting(client: ApiClient, isMerging: boolean): JobSnapshot['waiting'] {
    if (this.databaseWait !== null)
      return { reason: `database: ${this.databaseWait}`, untilMs: null, askedByApi: false };
    const { waiting } = client;
    if (waiting !== null) return waiting;
    return isMerging && this.phase === 'merging' ? { reason: 'merge', untilMs: null, askedByApi: false } : null;
  }
}

function describeWindow(reader: ApiStreamReader, safeToMs: number | null): WindowSnapshot {
  return {
    windowId: reader.windowId,
    sinceMs: reader.position.sinceMs,
    untilMs: reader.position.untilMs,
    walkedToMs: reader.position.walkedToMs,
    safeToMs,
    pages: reader.pages,
    complete: reader.complete,
    splitFrom: reader.splitFrom,
  };
}
