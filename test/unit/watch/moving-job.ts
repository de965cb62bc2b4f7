/** A job that a test moves: windows are walked and split, events are fetched, copied and merged, some requests are refused. */
import type { JobSnapshot, MergeRecord, WindowSnapshot } from '../../../src/core/job-snapshot.ts';
import { NO_COUNTS, type Proof } from '../../../src/core/state.ts';
import { snapshotOf, windowOf } from './job-feed.ts';

const DAY_MS = 86_400_000;
const MERGE_EVERY_S = 15;

interface MovingWindow {
  readonly windowId: number;
  sinceMs: number;
  readonly untilMs: number;
  walkedToMs: number;
  safeToMs: number;
  readonly splitFrom: number | null;
}

export class MovingJob {
  readonly totalEvents: number;
  readonly #eventsPerSecond: number;
  readonly #startedAtMs: number;
  readonly #windows: MovingWindow[] = [];
  readonly #untilMs = Date.UTC(2026, 0, 31);
  readonly #sinceMs = this.#untilMs - 30 * DAY_MS;
  readonly #concurrency = 8;
  #seconds = 0;
  #fetched = 0;
  #merged = 0;
  #merges = 0;
  readonly #lastMerges: MergeRecord[] = [];
  #ended: JobSnapshot['ended'] = null;

  constructor(options: { totalEvents: number; eventsPerSecond: number; startedAtMs: number }) {
    this.totalEvents = options.totalEvents;
    this.#eventsPerSecond = options.eventsPerSecond;
    this.#startedAtMs = options.startedAtMs;
    this.#add(this.#sinceMs, this.#untilMs, null);
  }

  get nowMs(): number {
    return this.#startedAtMs + this.#seconds * 1000;
  }

  advance(seconds: number): void {
    if (this.#ended !== null) return;
    this.#seconds += seconds;
    // Every fourth ten seconds the API is slow.
    const share = Math.floor(this.#seconds / 10) % 4 === 3 ? 0.35 : 1;
    const events = Math.min(this.totalEvents - this.#fetched, Math.round(this.#eventsPerSecond * share * seconds));
    this.#fetched += events;
    this.#walk((events / this.totalEvents) * (this.#untilMs - this.#sinceMs));
    if (this.#seconds - (this.#merges + 1) * MERGE_EVERY_S >= 0) this.#merge();
  }

  end(exitCode: number, reason: string): void {
    this.#merge();
    this.#ended = { exitCode, reason, atMs: this.nowMs };
  }

  snapshot(): JobSnapshot {
    const rejected = Math.floor(this.#merged / 90_000);
    const duplicates = Math.floor(this.#merged / 1_200);
    const waits = this.#ended === null && Math.floor(this.#seconds / 10) % 4 === 3;
    return snapshotOf({
      phase: this.#ended === null ? 'loading' : 'ended',
      startedAtMs: this.#startedAtMs,
      lastProgressMs: this.nowMs,
      totalEvents: this.totalEvents,
      counts: {
        ...NO_COUNTS,
        pages: Math.ceil(this.#merged / 5_000),
        served: this.#merged,
        loaded: this.#merged - rejected,
        inserted: this.#merged - rejected - duplicates,
        duplicates,
        rejected,
        repaired: rejected * 3,
      },
      proof: this.#ended?.exitCode === 0 ? this.#proof : null,
      fetchedEvents: this.#fetched,
      fetchedPages: Math.ceil(this.#fetched / 5_000),
      fetchedBytes: this.#fetched * 420,
      copiedEvents: this.#fetched,
      mergedEvents: this.#merged - rejected - duplicates,
      requests: Math.ceil(this.#fetched / 4_800),
      pagesInFlight: this.#ended === null ? 8 : 0,
      bytesInFlight: this.#ended === null ? 8 * 2_100_000 : 0,
      stagedRows: this.#fetched - this.#merged,
      waiting: waits
        ? { reason: 'rate limit', untilMs: Math.ceil(this.nowMs / 10_000) * 10_000, askedByApi: true }
        : null,
      retriesByKind:
        this.#fetched === 0 ? {} : { 'rate-limit': Math.ceil(this.#seconds / 20), 'server-error': 3, transport: 1 },
      rateLimited: Math.ceil(this.#seconds / 20),
      anomaliesByReason:
        rejected === 0 ? {} : { 'no id': rejected, 'NUL character': rejected * 2, 'time out of range': rejected },
      merges: this.#merges,
      lastMerges: this.#lastMerges,
      windows: this.#windows.map((window) => this.#windowSnapshot(window)),
      ended: this.#ended,
    });
  }

  get #proof(): Proof {
    const places = this.#merged;
    return { kind: 'count', places, expected: places, sentence: `${places} places were served, as the API counts` };
  }

  #windowSnapshot(window: MovingWindow): WindowSnapshot {
    return windowOf(window.windowId, {
      sinceMs: window.sinceMs,
      untilMs: window.untilMs,
      walkedToMs: window.walkedToMs,
      safeToMs: window.safeToMs,
      pages: Math.ceil((window.untilMs - window.walkedToMs) / (DAY_MS / 20)),
      complete: window.walkedToMs <= window.sinceMs,
      splitFrom: window.splitFrom,
    });
  }

  #add(sinceMs: number, untilMs: number, splitFrom: number | null): void {
    const windowId = this.#windows.length + 1;
    this.#windows.push({ windowId, sinceMs, untilMs, walkedToMs: untilMs, safeToMs: untilMs, splitFrom });
  }

  #walk(timeMs: number): void {
    let leftMs = timeMs;
    while (leftMs > 1) {
      const open = this.#windows.filter((window) => window.walkedToMs > window.sinceMs);
      const largest = open.toSorted((a, b) => b.walkedToMs - b.sinceMs - (a.walkedToMs - a.sinceMs))[0];
      if (largest === undefined) return;
      if (open.length < this.#concurrency && largest.walkedToMs - largest.sinceMs > DAY_MS / 2) {
        const atMs = (largest.sinceMs + largest.walkedToMs) / 2;
        this.#add(largest.sinceMs, atMs, largest.windowId);
        largest.sinceMs = atMs;
        continue;
      }
      const stepMs = leftMs;
      open.forEach((window, index) => {
        // Not all equally fast: some parts of a data set are denser.
        const part = Math.min(window.walkedToMs - window.sinceMs, (stepMs / open.length) * (0.6 + (index % 5) * 0.2));
        window.walkedToMs -= part;
        leftMs -= part;
      });
    }
  }

  #merge(): void {
    const events = this.#fetched - this.#merged;
    this.#merged = this.#fetched;
    this.#merges += 1;
    this.#lastMerges.push({ atMs: this.nowMs, seconds: 0.4 + events / 900_000, events });
    for (const window of this.#windows) window.safeToMs = window.walkedToMs;
  }
}
