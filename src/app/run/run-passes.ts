/**
 * The passes of one run: walk all windows, catch up with what came meanwhile, prove that nothing is missing.
 *
 *   walk ──▶ merge all ──▶ anything new since the start? ──▶ walk that ──▶ short of the API's total? ──▶ walk that again
 *     ▲                                                                                                    │
 *     └── staging was lost: from ingestion.state ◀── any moment                                complete ◀──┘
 */
import type { ApiClient } from '../../api/api-client.ts';
import type { AcceptedPage } from '../../core/accepted-page.ts';
import type { Settings } from '../../core/config.ts';
import { CountsDisagreeError, GaveUpError, StagingLostError } from '../../core/errors.ts';
import type { InFlightLimit } from '../../core/in-flight-limit.ts';
import type { JobObserver } from '../../core/job-snapshot.ts';
import type { Logger } from '../../core/logging.ts';
import type { PageBuffers } from '../../core/page-buffers.ts';
import type { Run, WindowState } from '../../core/state.ts';
import { rejectedCount } from '../../load/copy/anomalies.ts';
import type { Database } from '../../load/postgres/database.ts';
import { StagingArea } from '../../load/staging-area.ts';
import type { Ownership } from '../../load/state/owner.ts';
import type { StateStore } from '../../load/state/state-store.ts';
import type { PageEncoder } from '../../threads/page-encoder.ts';
import type { ApiStreamReader } from '../api-stream-reader.ts';
import type { EndpointTraits } from '../walk/endpoint-traits.ts';
import { WindowSet, type WalkReport } from '../walk/windows.ts';
import { checkCompleteness, describeShort, isUnlimited } from './completeness.ts';
import type { JobCounters } from './job-counters.ts';
import { PassProgress } from './pass-progress.ts';
import { RejectionLimit } from './rejection-limit.ts';
import { Watermark, clockAt } from './watermark.ts';

/** PostgreSQL may crash again and again under the load itself: crashes without a merge in between that end the run. */
const MAX_LOSSES_WITHOUT_MERGE = 10;

export interface RunParts {
  readonly settings: Settings;
  readonly logger: Logger;
  readonly observe: JobObserver;
  readonly counters: JobCounters;
  readonly client: ApiClient;
  readonly inFlight: InFlightLimit;
  readonly encoder: PageEncoder;
  readonly buffers: PageBuffers;
  readonly db: Database;
  readonly ownership: Ownership;
  readonly store: StateStore;
  readonly traits: EndpointTraits;
  /** A stop was asked for: no further page. */
  readonly isStopping: () => boolean;
}

export class RunPasses {
  readonly #parts: RunParts;
  readonly #run: Run;
  readonly #rejections: RejectionLimit;
  readonly #progress: PassProgress;
  readonly #watermark: Watermark;
  /** Ends the requests of every walk. */
  readonly #abort = new AbortController();
  #pass: number;
  /** The first page of the pass has come. */
  #passBegan = false;
  #walking: { readonly windows: WindowSet; readonly staging: StagingArea } | null = null;
  /** Walked in this walk before a catch-up. */
  #walkedBefore: ApiStreamReader[] = [];

  constructor(parts: RunParts, run: Run) {
    this.#parts = parts;
    this.#run = run;
    this.#rejections = new RejectionLimit({
      max: eventsOf(parts.settings.maxRejected),
      served: () => parts.counters.rejected,
      different: () => parts.db.persistently('counting rejected events', () => rejectedCount(parts.db, run.runId)),
    });
    this.#pass = run.pass;
    this.#progress = new PassProgress(parts.counters, run);
    this.#watermark = new Watermark(run);
  }

  /** For watchers: of the walk under way, and of those before it that it only adds what is new to. */
  get readers(): readonly ApiStreamReader[] {
    return [...this.#walkedBefore, ...(this.#walking?.windows.readers ?? [])];
  }

  /** For watchers. */
  get staging(): StagingArea | null {
    return this.#walking?.staging ?? null;
  }

  /** Ends requests that are on their way or wait for their turn. */
  abort(): void {
    this.#abort.abort();
  }

  /** @throws JobError; everything that could be merged has been */
  async run(): Promise<'complete' | 'stopped'> {
    if ((await this.#walk({ thenCatchUp: true })) === 'stopped') return 'stopped';
    if (isUnlimited(this.#run) && (await this.#prove()) === 'stopped') return 'stopped';
    const { store } = this.#parts;
    const before = (await store.lastCompleteRun())?.watermarkMs ?? null;
    // Only an unlimited run moves the watermark.
    const watermarkMs = isUnlimited(this.#run) ? (this.#watermark.ms ?? before) : before;
    await store.completeRun(this.#run.runId, { watermarkMs });
    return 'complete';
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
            'npm run verify compares the counts again; npm start -- --full walks everything again.',
        );
      }
      const suspects = (await store.windows(runId)).filter(({ suspect }) => suspect).map(({ windowId }) => windowId);
      if (attempt === 'suspects' && suspects.length === 0) continue;
      logger.warn({ ...found, walking_again: attempt }, 'events are missing; walking again');
      await this.#beginPass(attempt === 'everything');
      if (attempt === 'suspects') await store.reopenWindows(runId, suspects);
      else await store.addWindows(runId, [{ sinceMs: null, untilMs: null }]);
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
        const { outcome, unwalkable } = await this.#walkOnce(options);
        if (outcome === 'stopped') return 'stopped';
        if (outcome === 'interrupted') continue;
        if (unwalkable.length === 0) return 'complete';
        await this.#parts.store.joinWindows(this.#run.runId, unwalkable);
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

  /** One walk over what `ingestion.state` says is left. Everything acknowledged is merged then, whatever ended the walk. */
  async #walkOnce(options: { readonly thenCatchUp: boolean }): Promise<WalkReport> {
    const { counters, isStopping } = this.#parts;
    this.#walkedBefore = [];
    const tooManyRejected = new AbortController();
    const staging = await this.#openStaging(tooManyRejected);
    const signal = AbortSignal.any([this.#abort.signal, staging.failed, tooManyRejected.signal]);
    try {
      const [walked] = await Promise.allSettled([this.#walkAll(staging, signal, options)]);
      // A failure of a COPY or a merge comes first: it is why the walks ended.
      await staging.waitForCopies();
      counters.phase = isStopping() ? 'stopping' : 'merging';
      await staging.finish();
      if (!isStopping()) await this.#rejections.check();
      if (walked.status === 'rejected') throw walked.reason;
      const { outcome, unwalkable } = walked.value;
      const isStopped = outcome === 'interrupted' && this.#abort.signal.aborted;
      return { outcome: isStopped ? 'stopped' : outcome, unwalkable };
    } finally {
      await staging.stop();
    }
  }

  async #walkAll(
    staging: StagingArea,
    signal: AbortSignal,
    { thenCatchUp }: { readonly thenCatchUp: boolean },
  ): Promise<WalkReport> {
    const { store, isStopping } = this.#parts;
    const { runId, untilMs } = this.#run;
    let report = await this.#walkWindows(await this.#windowsToWalk(), staging, signal);
    while (thenCatchUp && report.outcome === 'complete' && report.unwalkable.length === 0) {
      if (untilMs !== null || isStopping() || !this.#watermark.isBehind) break;
      // The merge of what was walked, and the requests for what is new, do not wait for each other.
      staging.mergeSoon();
      this.#walkedBefore.push(...(this.#walking?.windows.readers ?? []));
      const sinceMs = this.#watermark.beginCatchUp();
      await this.#beginPass();
      report = await this.#walkWindows(await store.addWindows(runId, [{ sinceMs, untilMs: null }]), staging, signal);
    }
    return report;
  }

  async #walkWindows(states: readonly WindowState[], staging: StagingArea, signal: AbortSignal): Promise<WalkReport> {
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
      signal,
      accept: (page) => this.#accept(page, staging),
      split: (windowId, cutsMs) => store.splitWindow(this.#run.runId, windowId, cutsMs),
      remainingEvents: () => this.#progress.remainingEvents,
      limitReduction: this.#pass - 1,
    });
    this.#walking = { windows, staging };
    return windows.walk();
  }

  #openStaging(tooManyRejected: AbortController): Promise<StagingArea> {
    const { settings, logger, db, ownership, counters, observe, store, buffers } = this.#parts;
    const { runId } = this.#run;
    const { onConflict, mergeInterval } = settings;
    return StagingArea.open(
      { db, ownership, runId, onConflict, logger, mergeIntervalMs: mergeInterval, buffers },
      {
        copied: ({ loaded, rejected, copyMs }) => {
          observe.copy?.(copyMs / 1000);
          counters.copied(loaded, rejected);
          // Perhaps: they are counted when the walks have ended and everything is merged.
          if (this.#rejections.isPassed) tooManyRejected.abort();
        },
        merged: async (result) => {
          observe.merge?.(result.seconds, result.isInitialMerge);
          counters.merged(result);
          // For watchers alone: what is merged stays merged if it cannot be read now.
          counters.safe(await store.windows(runId).catch(() => []));
        },
      },
    );
  }

  /** Without time bounds, windows that have no living cursor are walked as one chain from the top. */
  async #windowsToWalk(): Promise<readonly WindowState[]> {
    const { store, client, traits } = this.#parts;
    const { runId } = this.#run;
    const states = await store.windows(runId);
    if (client.endpoint === 'stream' && traits.supportsTimeBounds) return states;
    const dead = states.filter((state) => !state.complete && state.cursor === null);
    if (dead.length < 2) return states;
    await store.joinWindows(
      runId,
      dead.map((state) => state.windowId),
    );
    return store.windows(runId);
  }

  async #accept(page: AcceptedPage, staging: StagingArea): Promise<void> {
    this.#parts.counters.page(page);
    if (!this.#passBegan && page.encoded !== null) {
      this.#passBegan = true;
      await this.#noteFirstPage(page);
    }
    await staging.accept(page, this.#progress.load);
  }

  /** The first response of a pass says how large the data set is; the first of the run also, what time it is over there. */
  async #noteFirstPage({ encoded, ledger, raw }: AcceptedPage): Promise<void> {
    const { store, counters } = this.#parts;
    this.#progress.total = encoded?.envelope.total ?? null;
    counters.total = this.#progress.total;
    this.#watermark.note(clockAt(raw), ledger.page === 1 ? (encoded?.times ?? null) : null);
    await store.updateRun(this.#run.runId, {
      passTotal: this.#progress.total,
      serverDateMs: this.#watermark.serverDateMs,
      newestMs: this.#watermark.ms,
    });
  }
}

function eventsOf(maxRejected: Settings['maxRejected']): number | undefined {
  return maxRejected !== undefined && 'events' in maxRejected ? maxRejected.events : undefined;
}
