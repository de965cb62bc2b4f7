/**
 * The passes of one run: walk all windows, catch up with what came meanwhile, prove that nothing is missing.
 *
 *   walk ──▶ merge all ──▶ anything new since the start? ──▶ walk that ──▶ short of the API's total? ──▶ walk that again
 *     ▲                                                                                                    │
 *     ├── staging was lost: from ingestion.state ◀── any moment                                complete ◀──┘
 *     └── windows cannot be walked to their ends: everything, as one chain
 */
import { CountsDisagreeError, GaveUpError, NotInOrderError, StagingLostError } from '../../core/errors.ts';
import { roundOf, type Proof, type RoundKind, type Run } from '../../core/state.ts';
import type { TimeRange } from '../../core/walk-time.ts';
import type { FoundEvents } from '../../load/state/found-events.ts';
import type { Tally } from '../../load/state/tally.ts';
import { TopRestarts, noProgress } from '../walk/no-progress.ts';
import { completeRound } from './complete-round.ts';
import { PassProgress } from './pass-progress.ts';
import { checkCountsBalance, isUnlimited, judgeRun, leaveNoGap, provenByFall, type Verdict } from './proof.ts';
import { rejectionLimitFor, type RejectionLimit } from './rejection-limit.ts';
import type { RunParts } from './run-parts.ts';
import { RunWalks } from './run-walks.ts';
import { ParkedWindows } from './parked-windows.ts';
import { walkRange } from './run-setup.ts';
import { checkRowsAreThere, whyRejectionsAreGone } from './target-check.ts';
import { cutAt, doubtfulEnd, unstableOrder } from './unproven.ts';

/** PostgreSQL may crash again and again under the load itself: crashes without a merge in between that end the run. */
const MAX_LOSSES_WITHOUT_MERGE = 10;
/** Chains from the top whose cursor died before they brought an event, in a row, that end the run. */
const MAX_EMPTY_CHAINS = 5;

export class RunPasses {
  readonly #parts: RunParts;
  readonly #run: Run;
  /** `null`: the run is to be proven. */
  readonly #round: RoundKind | null;
  /** For watchers, and to be ended. */
  readonly walks: RunWalks;
  readonly #rejections: RejectionLimit;
  readonly #progress: PassProgress;
  /** Of the chain from the top, where the run is walked as one. */
  readonly #restarts = new TopRestarts();
  readonly #parked: ParkedWindows;
  /** Chains in a row that were begun and brought nothing. */
  #emptyChains = 0;

  constructor(parts: RunParts, run: Run) {
    this.#parts = parts;
    this.#run = run;
    this.#round = roundOf(run);
    this.#progress = new PassProgress(parts.counters, run);
    this.#rejections = rejectionLimitFor(parts, run, () => this.walks.openWindows);
    this.walks = new RunWalks(parts, run, this.#progress, this.#rejections, this.#restarts);
    this.#parked = new ParkedWindows({ ...parts, progress: this.#progress }, run);
  }

  /** @throws JobError; everything that could be merged has been */
  async run(): Promise<'complete' | 'stopped'> {
    const { store, counters, db } = this.#parts;
    const { runId } = this.#run;
    // Another pass asks for pages of another size: where their cursors count places, none need lead astray as one did before.
    if (await store.continueDoubtfulWindows(runId)) await this.walks.beginPass(false);
    const prove = (): Promise<Proof | 'stopped'> => (this.#round === null ? this.#prove() : this.#judgeRound());
    const proof = await this.#keepingDisorder(async () =>
      (await this.#walkAllOfIt()) === 'complete' ? prove() : 'stopped',
    );
    checkCountsBalance(counters.counts);
    if (proof === 'stopped') return 'stopped';
    await this.#rejections.checkAtEnd();
    const rejected = { runId, rejected: counters.counts.rejected };
    const areGone = await db.persistently('looking at the anomalies', () => whyRejectionsAreGone(db, rejected));
    if (areGone !== null) throw new CountsDisagreeError(areGone);
    const { counts } = counters;
    await (this.#round === null
      ? this.#completeProven(proof)
      : completeRound(store, { runId, counts }, this.#round, proof));
    counters.proof = proof;
    return 'complete';
  }

  /** Where the order of a list is disproved, what was walked by it says nothing: no start goes on with the run. */
  async #keepingDisorder<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const { store, traits } = this.#parts;
      if (error instanceof NotInOrderError) await store.noteTraits({ ...traits, isOrderedByTime: false });
      throw error;
    }
  }

  async #completeProven(proof: Proof): Promise<void> {
    const { store, counters, db, ownership, settings, traits } = this.#parts;
    const { runId } = this.#run;
    await checkRowsAreThere(db, store, ownership, counters.counts, settings.acceptFewerRows);
    const tally = await store.tally(runId);
    // Growth over a total that was not proven itself would prove nothing. Where the newest come last, nobody counted what is recent.
    const isExact = proof.kind === 'count' && tally.unsure === 0 && !traits.isOldestFirst;
    await store.completeRun(runId, { proof, recentPlaces: isExact ? tally.recentPlaces : null });
  }

  async #walkAllOfIt(): Promise<'complete' | 'stopped'> {
    const { store, logger, traits } = this.#parts;
    const { runId, incrementalSinceMs, untilMs } = this.#run;
    // A start before this one was killed between seeing that there is no order by time, and giving up the windows that rest on it.
    if (!traits.isOrderedByTime && (await store.windows(runId)).length > 1) await this.#beginChain();
    const thenCatchUp = this.#round === null;
    let report = await this.#walk({ thenCatchUp });
    // What was read in one window may have moved from another, behind where the list ended then.
    const hasNewsAtEnd = traits.isOldestFirst && traits.isOrderedByTime && untilMs === null;
    if (report === 'complete' && hasNewsAtEnd && (await store.windows(runId)).length > 1) {
      await this.walks.beginPass(false);
      await store.goOnAtEnd(runId);
      report = await this.#walk({ thenCatchUp });
    }
    if (report === 'stopped' || leaveNoGap(await store.windows(runId), this.#range)) return report;
    logger.warn({ run: runId }, 'rows of ingestion.state are gone; walking the whole range again');
    await this.walks.beginPass(incrementalSinceMs === null && isUnlimited(this.#run));
    await store.replaceWindows(runId, this.#range);
    return this.#walk({ thenCatchUp: true });
  }

  /** What a round was served is held against the API's count by the next run that proves something. */
  async #judgeRound(): Promise<Proof> {
    const { places, doubtfulWindows } = await this.#parts.store.tally(this.#run.runId);
    if (doubtfulWindows > 0) throw this.#doubtfulEnd(doubtfulWindows);
    const sentence = "every chain of pages came to the API's own end; --follow holds the API's count against it later";
    return { kind: 'api-end', places, expected: null, sentence };
  }

  /** All that the run walks, in walk time. */
  get #range(): TimeRange {
    return walkRange(this.#run, this.#parts.traits.isOldestFirst);
  }

  async #prove(): Promise<Proof | 'stopped'> {
    const { store, logger, counters } = this.#parts;
    const { runId } = this.#run;
    counters.phase = 'verifying';
    await this.walks.settleTotal();
    let before = { fresh: 0, total: 0 };
    let isAlwaysDoubtful = true;
    for (const attempt of ['suspects', 'everything', 'again', 'last'] as const) {
      const found = await store.foundEvents(runId);
      const tally = await store.tally(runId);
      const verdict = judgeRun(this.#run, tally, this.#progress);
      const isWalkedAgain = attempt === 'again' || attempt === 'last';
      const isDoubtful = tally.doubtfulWindows > 0;
      isAlwaysDoubtful &&= isDoubtful;
      const now = { fresh: found.fresh, total: this.#progress.knownTotal ?? 0 };
      const expected = verdict.kind === 'short' ? verdict.expected : (verdict.proof.expected ?? 0);
      // Places may be repeats, or ids that the API has twice may stand in for as many that are lost. An incremental run does not walk
      // millions again for a few of them.
      const lacking = tally.isFull ? expected - found.different : 0;
      if (this.#isOtherList(tally, found)) {
        if (attempt === 'suspects') continue;
        logger.warn(
          { places: tally.places, walking_again: attempt },
          'nothing came again of what the run before was served last: this is another list; walking again',
        );
      } else if (verdict.kind === 'proven' && lacking <= 0) {
        if (!isDoubtful || verdict.proof.kind === 'count') return verdict.proof;
        if (isWalkedAgain || tally.isFull || !isUnlimited(this.#run)) throw this.#doubtfulEnd(tally.doubtfulWindows);
        if (attempt === 'suspects') continue;
        logger.warn({ walking_again: attempt }, 'the end of the list is doubtful; walking again');
      } else if (attempt === 'suspects' && (await this.#suspects()).length === 0) {
        continue;
      } else if (verdict.kind === 'short') {
        if (isWalkedAgain) return this.#proveByFall(verdict, tally.doubtfulWindows);
        const { short, places } = verdict;
        logger.warn({ short, expected, places, walking_again: attempt }, 'events are missing; walking again');
      } else {
        const { proof } = verdict;
        if (!isDoubtful && lacking <= 0) return proof;
        const brought = now.fresh - before.fresh - Math.max(0, now.total - before.total);
        if (isWalkedAgain && brought <= 0) {
          // A walk that only looked again for what may be missing takes nothing back from an end that the API gave before.
          if (isAlwaysDoubtful && proof.kind !== 'count') throw this.#doubtfulEnd(tally.doubtfulWindows);
          return proof;
        }
        if (attempt === 'last') throw unstableOrder(proof, lacking, brought);
        const { places } = proof;
        logger.warn({ lacking, expected, places, walking_again: attempt }, 'events may be missing; walking again');
      }
      before = now;
      await this.walks.beginPass(attempt === 'everything' || attempt === 'again');
      if (attempt === 'suspects') await store.reopenWindows(runId, await this.#suspects());
      else await store.replaceWindows(runId, { sinceMs: null, untilMs: null });
      if ((await this.#walk({ thenCatchUp: false })) === 'stopped') return 'stopped';
      counters.phase = 'verifying';
    }
    return 'stopped';
  }

  /**
   * An incremental run begins below what the run before was served last. Where not one event of that came again, the API has another list
   * behind its address, or has put so many late events above them that the walk took these for older ones.
   */
  #isOtherList({ isFull, places }: Tally, { cameAgain }: FoundEvents): boolean {
    return !isFull && isUnlimited(this.#run) && places > 0 && !cameAgain;
  }

  #doubtfulEnd(windows: number): GaveUpError | CountsDisagreeError {
    const { hasMetCap, cap } = this.#parts.traits;
    return hasMetCap ? cutAt(cap) : doubtfulEnd(windows);
  }

  async #suspects(): Promise<number[]> {
    const windows = await this.#parts.store.windows(this.#run.runId);
    return windows.filter(({ suspect, isDoubtful }) => suspect || isDoubtful).map(({ windowId }) => windowId);
  }

  /** Everything was walked again, and events are missing: unless the API has deleted as many meanwhile. */
  async #proveByFall(
    { short, expected, places }: Verdict & { kind: 'short' },
    doubtfulWindows: number,
  ): Promise<Proof> {
    const totalNow = doubtfulWindows > 0 ? null : await this.walks.askTotalNow();
    if (totalNow !== null && expected - short >= totalNow) return provenByFall(expected - short, expected, totalNow);
    throw new CountsDisagreeError(
      `${short} events are missing: the API counts ${expected}, ${places} were served. Everything was walked again without ` +
        'finding them; what came is in the target. npm start looks for them again; npm start -- --full walks everything again.',
    );
  }

  /** Walks every window that is not complete, and merges everything, however often staging is lost on the way. */
  async #walk(options: { readonly thenCatchUp: boolean }): Promise<'complete' | 'stopped'> {
    const { counters, ownership, logger } = this.#parts;
    let losses = 0;
    let mergedBefore = counters.counts.pages;
    for (;;) {
      counters.phase = 'loading';
      try {
        if (await this.#parked.takeBack()) this.#restarts.forget();
        const report = await this.walks.walk({ ...options, end: this.#parked.end });
        if (report === 'complete' || report === 'stopped') {
          this.#parked.forget();
          return report;
        }
        if (report === 'needs-chain') {
          if (this.#canGoOnLater) await this.#parked.park(this.walks.newestMs);
          await this.#beginChain();
        }
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

  /** Windows rest on the order of times, and on bounds. */
  get #canGoOnLater(): boolean {
    const { isOrderedByTime, supportsTimeBounds } = this.#parts.traits;
    return isOrderedByTime && supportsTimeBounds;
  }

  /**
   * Windows could not be walked to their ends: one chain from the top brings what they were to bring. The newest window alone
   * is such a chain.
   */
  async #beginChain(): Promise<void> {
    const { store, traits } = this.#parts;
    const { runId } = this.#run;
    const { untilMs } = this.#range;
    const states = await store.windows(runId);
    const open = states.filter(({ complete }) => !complete);
    const before = this.#restarts.begin(null);
    this.#emptyChains = before === 'nothing' ? this.#emptyChains + 1 : 0;
    if (before === 'too-often' || this.#emptyChains > MAX_EMPTY_CHAINS) {
      throw noProgress({ windowId: open[0]?.windowId ?? 0, page: 1, fromMs: null }, null);
    }
    const isNewestAlone = open.length === 1 && open[0]?.untilMs === untilMs;
    if (traits.isOrderedByTime && isNewestAlone) {
      await store.reopenWindows(
        runId,
        open.map(({ windowId }) => windowId),
      );
      return;
    }
    const floorMs = Math.min(...states.map(({ sinceMs }) => sinceMs ?? -Infinity));
    const sinceMs = Number.isFinite(floorMs) ? floorMs : null;
    this.#progress.begin(sinceMs === null);
    await store.replaceWindows(runId, { sinceMs, untilMs });
    if (!traits.isOrderedByTime) await store.noteTraits(traits);
  }
}
