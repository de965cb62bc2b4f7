/** The figures of a job, counted where things happen and read by whoever watches. */
import type { ApiClient } from '../../api/api-client.ts';
import type { AcceptedPage } from '../../core/accepted-page.ts';
import type { InFlightLimit } from '../../core/in-flight-limit.ts';
import {
  NOT_FOLLOWED_YET,
  snapshotBeforeJob,
  type FollowSnapshot,
  type JobPhase,
  type JobSnapshot,
  type WindowSnapshot,
} from '../../core/job-snapshot.ts';
import type { Proof, Run, RunCounts, WindowState } from '../../core/state.ts';
import { turnRange, turnTime } from '../../core/walk-time.ts';
import type { MergeResult } from '../../load/merge/merge.ts';
import type { WorkerPool } from '../../threads/worker-pool.ts';
import type { ApiStreamReader } from '../api-stream-reader.ts';

/** Parts of the job that know their own state. */
export interface LiveParts {
  readonly client: ApiClient;
  readonly pool: WorkerPool;
  readonly inFlight: InFlightLimit;
  readonly copying: number;
  readonly isMerging: boolean;
  readonly readers: readonly ApiStreamReader[];
}

/** For people who look: more bars than a chart can show. */
const MOST_MERGES_KEPT = 60;

type Figures = { -readonly [Name in keyof JobSnapshot]: JobSnapshot[Name] };

export class JobCounters {
  phase: JobPhase = 'starting';
  /** By what the run is proven; set when it completes. */
  proof: Proof | null = null;
  /** Why the database is waited for; `null` when it is not. */
  databaseWait: string | null = null;
  /** Rows of the target, when this process found it empty: all that the server says it inserted since. */
  rowsSinceEmpty: number | null = null;
  /** What is counted here; {@link snapshot} asks the parts for the rest. */
  readonly #figures: Figures;
  /** Rejected in pages that are copied and not merged. */
  #stagedRejected = 0;
  readonly #safeToMs = new Map<number, number>();
  readonly #retries: Record<string, number> = {};
  readonly #anomalies: Record<string, number> = {};

  readonly #isOldestFirst: boolean;

  /** @param isOldestFirst the list of the source is walked over −t: see core/walk-time.ts */
  constructor(source: string, isOldestFirst: boolean) {
    this.#isOldestFirst = isOldestFirst;
    this.#figures = { ...snapshotBeforeJob(Date.now()), source };
  }

  /** The run's counts, as merged. */
  get counts(): RunCounts {
    return this.#figures.counts;
  }

  /** Rejected by the run so far, merged or staged. */
  get rejected(): number {
    return this.counts.rejected + this.#stagedRejected;
  }

  get fetchedPages(): number {
    return this.#figures.fetchedPages;
  }

  get fetchedEvents(): number {
    return this.#figures.fetchedEvents;
  }

  get copiedEvents(): number {
    return this.#figures.copiedEvents;
  }

  /** What has changed of a job that follows. */
  followed(changes: Partial<FollowSnapshot>): void {
    this.#figures.follow = { ...(this.#figures.follow ?? NOT_FOLLOWED_YET), ...changes };
    this.#figures.lastProgressMs = Date.now();
  }

  get follow(): FollowSnapshot {
    return this.#figures.follow ?? NOT_FOLLOWED_YET;
  }

  set total(total: number | null) {
    this.#figures.totalEvents = total;
  }

  begin(run: Run): void {
    const figures = this.#figures;
    figures.runId = run.runId;
    figures.counts = run.counts;
    this.proof = run.proof;
    figures.pass = run.pass;
    figures.totalEvents = run.passTotal;
    figures.newestEventMs = run.newestMs ?? figures.newestEventMs;
  }

  beginPass(pass: number): void {
    this.#figures.pass = pass;
  }

  page({ raw, encoded, ledger }: AcceptedPage): void {
    const figures = this.#figures;
    figures.lastProgressMs = Date.now();
    figures.fetchedPages += 1;
    figures.fetchedBytes += raw.bodyBytes;
    figures.fetchedEvents += ledger.served;
    const times = encoded?.times;
    // Otherwise one wrong clock would be the newest.
    if (times?.descending === true) {
      const newestMs = this.#isOldestFirst ? turnTime(times.oldestMs, true) : times.newestMs;
      figures.newestEventMs = Math.max(newestMs, figures.newestEventMs ?? -Infinity);
    }
    for (const { kind, field, reason } of encoded?.anomalies ?? []) {
      countOne(this.#anomalies, `${kind} ${field}: ${reason}`);
    }
  }

  /** How far down windows are safe: after a merge, and where a start finds them. */
  safe(states: readonly Pick<WindowState, 'windowId' | 'lastEventMs'>[]): void {
    for (const { windowId, lastEventMs } of states) {
      if (lastEventMs !== null) this.#safeToMs.set(windowId, lastEventMs);
    }
  }

  copied(events: number, rejected: number): void {
    this.#figures.lastProgressMs = Date.now();
    this.#figures.copiedEvents += events;
    this.#stagedRejected += rejected;
  }

  merged(result: MergeResult): void {
    const figures = this.#figures;
    figures.lastProgressMs = Date.now();
    figures.merges += 1;
    figures.mergedEvents += result.loaded;
    const merge = { atMs: Date.now(), seconds: result.seconds, events: result.loaded };
    figures.lastMerges = [...figures.lastMerges, merge].slice(-MOST_MERGES_KEPT);
    this.#stagedRejected = Math.max(0, this.#stagedRejected - result.rejected);
    if (result.isInitialMerge) this.rowsSinceEmpty = result.inserted;
    else if (this.rowsSinceEmpty !== null) this.rowsSinceEmpty += result.inserted;
    figures.counts = addCounts(figures.counts, result);
  }

  /** What was staged is gone; it is fetched again. @returns how many events */
  stagingLost(): number {
    const { copiedEvents, mergedEvents } = this.#figures;
    this.#figures.copiedEvents = mergedEvents;
    this.#stagedRejected = 0;
    return copiedEvents - mergedEvents;
  }

  retry(kind: string): void {
    countOne(this.#retries, kind);
  }

  snapshot({ client, pool, inFlight, copying, isMerging, readers }: LiveParts): JobSnapshot {
    const figures = this.#figures;
    return {
      ...figures,
      phase: this.phase,
      proof: this.proof,
      endpoint: figures.runId === null ? null : client.endpoint,
      requests: client.requests,
      pagesInFlight: inFlight.pages,
      bytesInFlight: inFlight.bytes,
      maxBytesInFlight: inFlight.maxBytes,
      encodeQueue: pool.queued,
      copyQueue: copying,
      stagedRows: Math.max(0, figures.copiedEvents - figures.mergedEvents),
      waiting: this.#waiting(client, isMerging),
      retriesByKind: { ...this.#retries },
      rateLimited: this.#retries['rate-limit'] ?? 0,
      anomaliesByReason: { ...this.#anomalies },
      windows: readers.map((reader) => this.#describeWindow(reader)),
    };
  }

  #describeWindow(reader: ApiStreamReader): WindowSnapshot {
    const { windowId, position } = reader;
    const isOldestFirst = this.#isOldestFirst;
    const realTime = (ms: number | null): number | null => (ms === null ? null : turnTime(ms, isOldestFirst));
    return {
      windowId,
      ...turnRange(position, isOldestFirst),
      isOldestFirst,
      walkedToMs: realTime(position.walkedToMs),
      safeToMs: realTime(this.#safeToMs.get(windowId) ?? null),
      pages: reader.pages,
      complete: reader.complete,
      splitFrom: reader.splitFrom,
    };
  }

  #waiting({ waiting }: ApiClient, isMerging: boolean): JobSnapshot['waiting'] {
    if (this.databaseWait !== null) {
      return { reason: `database: ${this.databaseWait}`, untilMs: null, askedByApi: false };
    }
    if (waiting !== null) return waiting;
    return isMerging && this.phase === 'merging' ? { reason: 'merge', untilMs: null, askedByApi: false } : null;
  }
}

function countOne(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}

function addCounts(one: RunCounts, other: RunCounts): RunCounts {
  return {
    pages: one.pages + other.pages,
    served: one.served + other.served,
    loaded: one.loaded + other.loaded,
    inserted: one.inserted + other.inserted,
    updated: one.updated + other.updated,
    duplicates: one.duplicates + other.duplicates,
    rejected: one.rejected + other.rejected,
    repaired: one.repaired + other.repaired,
  };
}
