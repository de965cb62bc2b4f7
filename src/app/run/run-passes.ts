/**
 * The passes of one run: walk all windows, catch up with what came meanwhile, prove that nothing is missing.
 *
 *   walk ──▶ merge all ──▶ anything new since the start? ──▶ walk that ──▶ short of the API's total? ──▶ walk that again
 *     ▲                                                                                                    │
 *     └── staging was lost: from ingestion.state ◀── any moment                                complete ◀──┘
 */
import type { Settings } from '../../core/config.ts';
import { CountsDisagreeError, GaveUpError, StagingLostError } from '../../core/errors.ts';
import type { JobObserver } from '../../core/job-snapshot.ts';
import type { Logger } from '../../core/logging.ts';
import type { Run, WindowState } from '../../core/state.ts';
import { rejectedCount } from '../../load/copy/anomalies.ts';
import { CopyLoader } from '../../load/copy/copy-loader.ts';
import { Merger, type MergeResult } from '../../load/merge/merge.ts';
import type { Ownership } from '../../load/state/owner.ts';
import type { Database } from '../../load/postgres/database.ts';
import { readTargetTypes } from '../../load/schema/ingested-events.ts';
import type { StateStore } from '../../load/state/state-store.ts';
import type { ApiClient } from '../../api/api-client.ts';
import type { AcceptedPage, ApiStreamReader, EndpointTraits } from '../api-stream-reader.ts';
import { isTimeForClosingMerge } from '../../load/merge/closing-merge.ts';
import { checkCompleteness, describeShort, isUnlimited } from './completeness.ts';
import type { InFlightLimit } from '../../core/in-flight-limit.ts';
import type { JobCounters } from './job-counters.ts';
import { MergeSchedule } from '../../load/merge/merge-schedule.ts';
import type { PageEncoder } from '../../threads/page-encoder.ts';
import { PageLoading } from '../../load/page-loading.ts';
import { PassProgress } from './pass-progress.ts';
import { RejectionLimit, RejectionsToCount } from './rejection-limit.ts';
import { clockAt, newestBelievable } from './watermark.ts';
import { WindowSet, type WalkReport } from '../walk/windows.ts';

/** The first walk, then so many to catch up. */
const MAX_CATCH_UPS = 2;
/** PostgreSQL may crash again and again under the load itself: an end, then, when nothing was merged in between. */
const MAX_LOSSES_WITHOUT_MERGE = 10;

export interface RunParts {
  readonly settings: Settings;
  readonly logger: Logger;
  readonly observe: JobObserver;
  readonly counters: JobCounters;
  readonly client: ApiClient;
  readonly inFlight: InFlightLimit;
  readonly encoder: PageEncoder;
  readonly db: Database;
  readonly ownership: Ownership;
  readonly store: StateStore;
  readonly traits: EndpointTraits;
  /** A stop was asked for: no further page. */
  readonly isStopping: () => boolean;
}

/** The live parts of a walk, for the snapshot. */
export interface Walking {
  readonly windows: WindowSet;
  readonly loading: PageLoading;
  readonly schedule: MergeSchedule<MergeResult>;
}

/** Why walks were aborted: the job was asked to stop. */
export class StopRequested extends Error {}

export class RunPasses {
  readonly #parts: RunParts;
  readonly #run: Run;
  readonly #rejections: RejectionLimit;
  #walking: Walking | null = null;
  #walkedBefore: ApiStreamReader[] = [];
  #abort = new AbortController();
  #pass: number;
  /** What the pass under way knows from its first response. */
  #passBegan = false;
  readonly #progress: PassProgress;
  #newestMs: number | null;
  #serverDateMs: number | null;
  #catchUps = 0;
  /** Newest time that was known when the last catch-up began. */
  #caughtUpToMs: number | null = null;

  constructor(parts: RunParts, run: Run) {
    this.#parts = parts;
    this.#run = run;
    this.#rejections = new RejectionLimit({
      max: parts.settings.maxRejected,
      served: () => parts.counters.rejected,
      different: () => parts.db.persistently('counting rejected events', () => rejectedCount(parts.db, run.runId)),
    });
    this.#pass = run.pass;
    this.#progress = new PassProgress(parts.counters, run);
    this.#newestMs = run.newestMs;
    this.#serverDateMs = run.serverDateMs;
  }

  /** For watchers: of the walk under way, and of those before it that it only adds what is new to. */
  get readers(): readonly ApiStreamReader[] {
    return [...this.#walkedBefore, ...(this.#walking?.windows.readers ?? [])];
  }

  get walking(): Walking | null {
    return this.#walking;
  }

  /** Ends requests that are on their way or wait for their turn. */
  abort(): void {
    this.#abort.abort(new StopRequested());
  }

  /** @throws JobError; everything that could be merged has been */
  async run(): Promise<'complete' | 'stopped'> {
    if ((await this.#walk({ thenCatchUp: true })) === 'stopped') return 'stopped';
    if (isUnlimited(this.#run) && (await this.#prove()) === 'stopped') return 'stopped';
    await this.#parts.store.completeRun(this.#run.runId, { watermarkMs: await this.#finalWatermarkMs() });
    return 'complete';
  }

  /** Whether to look once more for what came since: the last look brought news, or there was none yet. */
  get #isBehind(): boolean {
    // Without any time there is nothing to tell what is new by.
    if (this.#newestMs === null || this.#run.untilMs !== null || this.#parts.isStopping()) return false;
    return this.#catchUps < MAX_CATCH_UPS && (this.#caughtUpToMs === null || this.#newestMs > this.#caughtUpToMs);
  }

  async #beginCatchUp(): Promise<WindowState[]> {
    this.#catchUps += 1;
    this.#caughtUpToMs = this.#newestMs;
    await this.#beginPass();
    return this.#parts.store.addWindows(this.#run.runId, [{ sinceMs: this.#newestMs, untilMs: null }]);
  }

  /** Newest time seen, but never later than the API's own clock when the run began. */
  #watermarkMs(): number | null {
    if (this.#newestMs === null || this.#serverDateMs === null) return this.#newestMs;
    return Math.min(this.#newestMs, this.#serverDateMs);
  }

  /** Only an unlimited run moves it. */
  async #finalWatermarkMs(): Promise<number | null> {
    const before = (await this.#parts.store.lastCompleteRun())?.watermarkMs ?? null;
    return isUnlimited(this.#run) ? (this.#watermarkMs() ?? before) : before;
  }

  async #prove(): Promise<'proven' | 'stopped'> {
    const { db, store, logger, counters } = this.#parts;
    const { runId, source } = this.#run;
    counters.phase = 'verifying';
    for (const attempt of ['suspects', 'everything', 'last'] as const) {
      const found = await checkCompleteness(db, source, this.#progress.total, counters.rowsSinceEmpty);
      if (found.hidden > 0) {
        logger.warn({ ...found }, 'completeness is not proven: the target also holds rows of other sources');
      }
      if (found.short === 0) return 'proven';
      if (attempt === 'last') {
        throw new CountsDisagreeError(
          `${describeShort(found)}. Everything was walked again without finding them; what came is in the target. ` +
            'npm run verify checks again; npm start -- --full walks once more.',
        );
      }
      const suspects = (await store.windows(runId)).filter((window) => window.suspect);
      if (attempt === 'suspects' && suspects.length === 0) continue;
      logger.warn({ ...found, walking_again: attempt }, 'events are missing; walking again');
      await this.#beginPass(attempt === 'everything');
      // What is walked again is counted again: kept, the first count would hide as many missing events.
      await store.forgetServedTwiceInChain(runId);
      if (attempt === 'suspects') {
        await store.reopenWindows(
          runId,
          suspects.map((window) => window.windowId),
        );
      } else await store.addWindows(runId, [{ sinceMs: null, untilMs: null }]);
      if ((await this.#walk({ thenCatchUp: false })) === 'stopped') return 'stopped';
      counters.phase = 'verifying';
    }
    return 'proven';
  }

  async #beginPass(isFull = false): Promise<void> {
    this.#pass += 1;
    this.#passBegan = false;
    this.#progress.begin(isFull);
    this.#parts.counters.beginPass(this.#pass);
    await this.#parts.store.updateRun(this.#run.runId, { pass: this.#pass });
  }

  /** Walks every window that is not complete, and merges everything, however often staging is lost on the way. */
  async #walk(options: { readonly thenCatchUp: boolean }): Promise<'complete' | 'stopped'> {
    const { counters, ownership, logger } = this.#parts;
    let losses = 0;
    let mergedBefore = counters.counts.pages;
    for (;;) {
      counters.phase = 'loading';
      try {
        const report = await this.#walkOnce(options);
        if (report === 'again') continue;
        if (report.outcome === 'stopped') return 'stopped';
        if (report.unwalkable.length === 0) return 'complete';
        await this.#joinIntoOneChain(report.unwalkable);
      } catch (error) {
        if (!(error instanceof StagingLostError)) throw error;
        losses = counters.counts.pages > mergedBefore ? 1 : losses + 1;
        mergedBefore = counters.counts.pages;
        if (losses > MAX_LOSSES_WITHOUT_MERGE) {
          throw new GaveUpError(
            `PostgreSQL crashed ${losses} times and emptied staging before anything could be merged. What was merged is ` +
              'safe; look into the log of the server, then start again.',
            { cause: error },
          );
        }
        this.#progress.lost(counters.stagingLost());
        logger.warn({ pages_safe: counters.counts.pages }, error.message);
        await this.#parts.db.persistently('beginning anew after staging was lost', () => ownership.renew());
      }
    }
  }

  /** One walk over what `ingestion.state` says is left; ends with everything merged, or with an error. */
  async #walkOnce({ thenCatchUp }: { readonly thenCatchUp: boolean }): Promise<WalkReport | 'again'> {
    const { counters } = this.#parts;
    this.#abort = new AbortController();
    this.#walkedBefore = [];
    const failures: unknown[] = [];
    const fail = (error: unknown): void => {
      failures.push(error);
      this.#abort.abort(error instanceof Error ? error : new Error(String(error)));
    };
    const schedule = await this.#openSchedule(fail);
    const loading = this.#openLoading(schedule, fail);
    const walkAll = async (): Promise<WalkReport> => {
      let report = await this.#walkWindows(await this.#windowsToWalk(), loading, schedule);
      while (thenCatchUp && report.outcome === 'complete' && report.unwalkable.length === 0 && this.#isBehind) {
        // Merging what was walked and asking for what is new have nothing to wait for in each other.
        schedule.mergeSoon();
        this.#walkedBefore.push(...(this.#walking?.windows.readers ?? []));
        report = await this.#walkWindows(await this.#beginCatchUp(), loading, schedule);
      }
      return report;
    };
    try {
      const walked = await settle(walkAll());
      await loading.settled();
      // A failure of a COPY or a merge comes first: it is why the walks were aborted.
      if (failures.length > 0) throw failures[0];
      counters.phase = this.#parts.isStopping() ? 'stopping' : 'merging';
      await schedule.finish();
      if (!this.#parts.isStopping()) await this.#rejections.check();
      if ('value' in walked) return walked.value;
      if (walked.error instanceof RejectionsToCount) return 'again';
      if (walked.error instanceof StopRequested) return { outcome: 'stopped', unwalkable: [] };
      throw walked.error;
    } finally {
      await schedule.stop();
    }
  }

  async #walkWindows(
    states: readonly WindowState[],
    loading: PageLoading,
    schedule: MergeSchedule<MergeResult>,
  ): Promise<WalkReport> {
    const { counters, store, client, encoder, inFlight, traits, settings, logger, isStopping } = this.#parts;
    const { pageSize, concurrency } = settings;
    counters.safe(states);
    const onRetry = (kind: string): void => {
      counters.retry(kind);
    };
    const windows = new WindowSet(states, {
      reader: { client, encoder, inFlight, traits, pageSize, logger, isStopping, onRetry },
      concurrency,
      logger,
      signal: this.#abort.signal,
      accept: (page) => this.#accept(page, loading),
      fail: (error) => {
        this.#abort.abort(error instanceof Error ? error : new Error(String(error)));
      },
      split: (windowId, cutsMs) => store.splitWindow(this.#run.runId, windowId, cutsMs),
      remainingEvents: () => this.#progress.remainingEvents,
      limitReduction: this.#pass - 1,
    });
    this.#walking = { windows, loading, schedule };
    return windows.walk();
  }

  async #openSchedule(fail: (error: unknown) => void): Promise<MergeSchedule<MergeResult>> {
    const { settings, logger, db, ownership, counters, observe, store } = this.#parts;
    const merger = new Merger({ db, ownership, runId: this.#run.runId, onConflict: settings.onConflict, logger });
    const target = await readTargetTypes(db);
    return new MergeSchedule<MergeResult>({
      merge: async (table, pages, rest) => {
        const result = await merger.merge(table, pages, rest);
        // For watchers alone: what is merged stays merged if it cannot be read now.
        counters.safe(await store.windows(this.#run.runId).catch(() => []));
        return result;
      },
      onMerged: (result) => {
        counters.merged(result);
        observe.merge?.(result.seconds, result.isInitialMerge);
        logger.info(
          {
            pages: result.pages,
            inserted: result.inserted,
            updated: result.updated,
            duplicates: result.duplicates,
            rejected: result.rejected,
            seconds: Number(result.seconds.toFixed(3)),
          },
          'merged',
        );
      },
      fail,
      intervalMs: settings.mergeInterval,
      targetIsEmpty: target?.empty ?? true,
    });
  }

  #openLoading(schedule: MergeSchedule<MergeResult>, fail: (error: unknown) => void): PageLoading {
    const { logger, db, ownership, counters, observe } = this.#parts;
    return new PageLoading({
      loader: new CopyLoader({ db, ownership, runId: this.#run.runId, logger }),
      schedule,
      observe,
      fail,
      onCopied: (events, rejected) => {
        counters.copied(events, rejected);
        if (this.#rejections.isPassed) this.#abort.abort(new RejectionsToCount());
      },
    });
  }

  /** Without windows, those that have no living cursor are walked as one chain from the top. */
  async #windowsToWalk(): Promise<readonly WindowState[]> {
    const { store, client, traits } = this.#parts;
    const states = await store.windows(this.#run.runId);
    if (client.endpoint === 'stream' && traits.supportsTimeBounds) return states;
    const dead = states.filter((state) => !state.complete && state.cursor === null);
    if (dead.length < 2) return states;
    await this.#joinIntoOneChain(dead.map((state) => state.windowId));
    return store.windows(this.#run.runId);
  }

  async #joinIntoOneChain(windowIds: readonly number[]): Promise<void> {
    await this.#parts.store.joinWindows(this.#run.runId, windowIds);
  }

  async #accept(page: AcceptedPage, loading: PageLoading): Promise<void> {
    const { counters } = this.#parts;
    counters.page(page);
    if (!this.#passBegan && page.encoded !== null) {
      this.#passBegan = true;
      await this.#beginBooks(page);
    }
    await loading.accept(page);
    this.#considerClosingMerge();
  }

  #considerClosingMerge(): void {
    const schedule = this.#walking?.schedule;
    if (schedule?.isInitialMerge !== true || schedule.isMerging) return;
    const { load } = this.#progress;
    if (load !== null && isTimeForClosingMerge(load)) schedule.beginClosingMerge();
  }

  /** The first response of a pass says what the data set has; the first of the run also, how late it is over there. */
  async #beginBooks({ encoded, ledger, raw }: AcceptedPage): Promise<void> {
    const { store, counters } = this.#parts;
    this.#progress.total = encoded?.envelope.total ?? null;
    counters.total = this.#progress.total;
    const clockMs = clockAt(raw);
    this.#serverDateMs ??= clockMs;
    const times = encoded?.times ?? null;
    if (ledger.page === 1 && times !== null) {
      const newestMs = newestBelievable(times, clockMs);
      this.#newestMs = Math.max(newestMs, this.#newestMs ?? newestMs);
    }
    await store.updateRun(this.#run.runId, {
      passTotal: this.#progress.total,
      serverDateMs: this.#serverDateMs,
      newestMs: this.#watermarkMs(),
    });
  }
}

type Settled<T> = { readonly value: T } | { readonly error: unknown };

async function settle<T>(promise: Promise<T>): Promise<Settled<T>> {
  try {
    return { value: await promise };
  } catch (error) {
    return { error };
  }
}
