/** The walks of a run: windows from the API into staging, merged, and the catch-ups behind them. */
import type { RawPage } from '../../api/api-client.ts';
import type { AcceptedPage } from '../../core/accepted-page.ts';
import type { EncodedPage } from '../../core/encoded-page.ts';
import type { CountMarks, Run, WindowState } from '../../core/state.ts';
import { turnTime } from '../../core/walk-time.ts';
import { StagingArea } from '../../load/staging-area.ts';
import type { SourceTraits } from '../../load/state/source-traits.ts';
import type { ApiStreamReader, ReaderOrigin } from '../api-stream-reader.ts';
import type { ServedPage } from '../walk/step.ts';
import type { TopRestarts } from '../walk/no-progress.ts';
import { WindowSet, type WalkReport } from '../walk/windows.ts';
import type { PassProgress } from './pass-progress.ts';
import type { RejectionLimit } from './rejection-limit.ts';
import type { RunParts } from './run-parts.ts';
import { walkRange } from './run-setup.ts';
import { askTotalNow } from './total-now.ts';
import { Watermark, clockAt } from './watermark.ts';

export class RunWalks {
  readonly #parts: RunParts;
  readonly #run: Run;
  readonly #progress: PassProgress;
  readonly #rejections: RejectionLimit;
  readonly #restarts: TopRestarts;
  readonly #watermark: Watermark;
  /** Ends the requests of every walk. */
  readonly #abort = new AbortController();
  #pass: number;
  /** Walks that were begun: each asks a little differently, so that no answer comes from the API's cache. */
  #begun = 0;
  /** What is stored of the source. */
  #stored: SourceTraits;
  /** What the first page of a pass has shown, or the last of a list, is not stored yet. */
  #isTotalNew = false;
  /** A bounded answer counts fewer events than the run before had. */
  #isTotalDoubtful = false;
  #walking: { readonly windows: WindowSet; readonly staging: StagingArea } | null = null;
  /** Walked in this walk before a catch-up. */
  #walkedBefore: ApiStreamReader[] = [];

  constructor(parts: RunParts, run: Run, progress: PassProgress, rejections: RejectionLimit, restarts: TopRestarts) {
    this.#parts = parts;
    this.#run = run;
    this.#progress = progress;
    this.#rejections = rejections;
    this.#restarts = restarts;
    this.#pass = run.pass;
    this.#stored = { ...parts.traits };
    this.#watermark = new Watermark(run);
  }

  /** Of the walk under way, and of those before it that it only adds what is new to. */
  get readers(): readonly ApiStreamReader[] {
    return [...this.#walkedBefore, ...(this.#walking?.windows.readers ?? [])];
  }

  get openWindows(): readonly number[] {
    return this.readers.filter(({ complete }) => !complete).map(({ windowId }) => windowId);
  }

  get staging(): StagingArea | null {
    return this.#walking?.staging ?? null;
  }

  /** Ends requests that are on their way or wait for their turn. */
  abort(): void {
    this.#abort.abort();
  }

  /** The newest time that the run has seen, epoch ms. */
  get newestMs(): number | null {
    return this.#watermark.newestMs;
  }

  /** See {@link askTotalNow}. */
  askTotalNow(): Promise<number | null> {
    const { walk, traits } = this.#parts;
    const walkLimit = Math.min(walk.pageSize, traits.maxPage) - Math.max(this.#pass, this.#begun);
    return askTotalNow(this.#parts, walkLimit, this.#abort.signal);
  }

  async beginPass(isFull: boolean): Promise<void> {
    this.#pass += 1;
    this.#progress.begin(isFull);
    this.#parts.counters.beginPass(this.#pass);
    await this.#parts.store.updateRun(this.#run.runId, { pass: this.#pass });
  }

  /**
   * One walk over what `ingestion.state` says is left. Everything acknowledged is merged then, whatever ended the walk.
   * @param options.end ends it as interrupted
   */
  async walk(options: { readonly thenCatchUp: boolean; readonly end: AbortSignal | null }): Promise<WalkReport> {
    const { counters, isStopping } = this.#parts;
    this.#walkedBefore = [];
    const tooManyRejected = new AbortController();
    const staging = await this.#openStaging(tooManyRejected);
    const ends = [this.#abort.signal, staging.failed, tooManyRejected.signal];
    const signal = AbortSignal.any(options.end === null ? ends : [...ends, options.end]);
    try {
      const [walked] = await Promise.allSettled([this.#walkAll(staging, signal, options)]);
      // A failure of a COPY or a merge comes first: it is why the walks ended.
      await staging.waitForCopies();
      counters.phase = isStopping() ? 'stopping' : 'merging';
      await staging.finish();
      if (!isStopping()) await this.#rejections.check();
      if (walked.status === 'rejected') throw walked.reason;
      return walked.value === 'interrupted' && this.#abort.signal.aborted ? 'stopped' : walked.value;
    } finally {
      await staging.stop();
    }
  }

  async #walkAll(
    staging: StagingArea,
    signal: AbortSignal,
    { thenCatchUp }: { readonly thenCatchUp: boolean },
  ): Promise<WalkReport> {
    const { store, isStopping, traits } = this.#parts;
    const { runId, untilMs } = this.#run;
    const states = await store.windows(runId);
    let report = await this.#walkWindows(states, states.length === 1, staging, signal);
    if (traits.isOldestFirst) return this.#noteEnd(report);
    while (thenCatchUp && report === 'complete') {
      // Without an order by time nothing shows where what is new ends.
      if (untilMs !== null || isStopping() || !traits.isOrderedByTime || !this.#watermark.isBehind) break;
      // The merge of what was walked, and the requests for what is new, do not wait for each other.
      staging.mergeSoon();
      this.#walkedBefore.push(...(this.#walking?.windows.readers ?? []));
      const sinceMs = this.#watermark.beginCatchUp();
      await this.beginPass(false);
      report = await this.#walkWindows(await store.addCatchUp(runId, sinceMs), false, staging, signal);
    }
    return report;
  }

  /** What has come since is at the end of such a list, where its walk has ended: see {@link RunPasses}. */
  async #noteEnd(report: WalkReport): Promise<WalkReport> {
    if (report !== 'complete') return report;
    const watermark = this.#watermark;
    watermark.noteEnd();
    const { newestMs, ms: watermarkMs, serverDateMs } = watermark;
    await this.#parts.store.updateRun(this.#run.runId, { newestMs, watermarkMs, serverDateMs });
    return report;
  }

  /** @param isWhole these are all windows of the run, and there is one */
  async #walkWindows(
    states: readonly WindowState[],
    isWhole: boolean,
    staging: StagingArea,
    signal: AbortSignal,
  ): Promise<WalkReport> {
    const { counters, store, client, encoder, inFlight, traits, first, walk, logger, isStopping } = this.#parts;
    const { pageSize, concurrency } = walk;
    const { runId, incrementalSinceMs } = this.#run;
    const { isOldestFirst } = traits;
    const range = walkRange(this.#run, isOldestFirst);
    counters.safe(states);
    this.#begun += 1;
    const windows = new WindowSet(states, {
      reader: {
        ...{ client, encoder, inFlight, traits, first, pageSize, logger, isStopping },
        marks: (page) => this.#marks(page),
        onRetry: (kind) => {
          counters.retry(kind);
        },
      },
      concurrency,
      logger,
      signal,
      accept: (page) => this.#accept(page, staging),
      split: (windowId, cutsMs) => store.splitWindow(runId, windowId, cutsMs),
      remainingEvents: () => this.#progress.remainingEvents,
      limitReduction: Math.max(this.#pass, this.#begun) - 1,
      // No event lies before 1970, or in the future.
      bottomMs: isOldestFirst ? turnTime(Date.now(), isOldestFirst) : 0,
      originOf: ({ sinceMs, untilMs }): Pick<ReaderOrigin, 'isWhole' | 'isInhabited'> => ({
        isWhole: isWhole && untilMs === range.untilMs,
        // Where a catch-up or an incremental run begins, an earlier walk was served an event.
        isInhabited: isOldestFirst
          ? incrementalSinceMs !== null && sinceMs === range.sinceMs && untilMs === range.untilMs
          : untilMs === null && sinceMs !== null && sinceMs !== this.#run.sinceMs,
      }),
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

  /**
   * The first page from the top says how large the data set is, and how new; the first of the run also, what time it is over
   * there. Only later is this stored: see {@link #accept}. For a list with its oldest record first see {@link #noteBottom}.
   */
  #marks(served: ServedPage): CountMarks {
    const { page, untilMs, raw, encoded } = served;
    const { isOldestFirst } = this.#parts.traits;
    const isTop = page === 1 && untilMs === walkRange(this.#run, isOldestFirst).untilMs;
    if (isTop) this.#noteTotal(served);
    if (isOldestFirst) {
      this.#noteBottom(served);
      return { topMs: null, recentMs: null };
    }
    if (isTop) this.#watermark.note(clockAt(raw), encoded.places.timesMs);
    return { topMs: this.#watermark.newestMs, recentMs: this.#watermark.recentMs };
  }

  /** The last pages of a list with its oldest record first say how large it is, and how new. */
  #noteBottom(served: ServedPage): void {
    const { sinceMs, isEnd, raw, encoded } = served;
    if (sinceMs !== walkRange(this.#run, true).sinceMs) return;
    this.#watermark.noteBeforeEnd(
      clockAt(raw),
      encoded.places.timesMs.map((timeMs) => turnTime(timeMs, true)),
    );
    // A list may end without a page that says so: then the last total counts.
    const { total } = this.#progress;
    if (isEnd || (encoded.envelope.total ?? total) !== total) this.#noteTotal(served);
  }

  #noteTotal({ raw, encoded, isBounded }: ServedPage): void {
    this.#progress.noteTotal(this.#totalOf(raw, encoded, isBounded));
    this.#parts.counters.total = this.#progress.total;
    this.#isTotalNew = true;
  }

  /** A count out of the API's cache is as old as the cache; a smaller one on a bounded answer may be of what was asked for. */
  #totalOf(raw: RawPage, { envelope: { total } }: EncodedPage, isBounded: boolean): number | null {
    if (raw.fromCache) return null;
    if (!isBounded || total === null) return total;
    const before = this.#progress.knownTotal;
    if (before !== null) return Math.max(total, before);
    const { incrementalSinceMs, baseTotal } = this.#run;
    this.#isTotalDoubtful = incrementalSinceMs !== null && total < (baseTotal ?? Infinity);
    return this.#isTotalDoubtful ? null : total;
  }

  /** An incremental run has asked for what is new alone: where the counts on its answers may be of that, the list's own is asked for. */
  async settleTotal(): Promise<void> {
    const { runId, incrementalSinceMs, baseTotal } = this.#run;
    const wasCounted = this.#isTotalDoubtful || baseTotal !== null;
    if (incrementalSinceMs === null || this.#progress.knownTotal !== null || !wasCounted) return;
    this.#progress.noteTotal(await this.askTotalNow());
    this.#parts.counters.total = this.#progress.total;
    await this.#parts.store.updateRun(runId, { passTotal: this.#progress.total });
  }

  async #accept(page: AcceptedPage, staging: StagingArea): Promise<void> {
    const { counters, store, traits } = this.#parts;
    counters.page(page);
    this.#rejections.note(page);
    this.#restarts.note(page.ledger.served);
    if (haveShown(traits, this.#stored)) {
      // Before the page counts as safe: another process must not go on from it as if it had not shown this.
      this.#stored = { ...traits };
      await store.noteTraits(this.#stored);
    }
    if (this.#isTotalNew) {
      this.#isTotalNew = false;
      const watermark = this.#watermark;
      await store.updateRun(this.#run.runId, {
        passTotal: this.#progress.total,
        serverDateMs: watermark.serverDateMs,
        newestMs: watermark.newestMs,
        watermarkMs: watermark.ms,
      });
    }
    await staging.accept(page, this.#progress.load);
  }
}

/** Whether pages have shown something of the source that is not stored. */
function haveShown(now: SourceTraits, stored: SourceTraits): boolean {
  return (['isOrderedByTime', 'hasFlag', 'failureWords'] as const).some((trait) => now[trait] !== stored[trait]);
}
