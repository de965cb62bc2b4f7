/** The runs of one job, one after the other: what belongs to a run is made anew for each, over what the job holds open. */
import type { Settings } from '../../core/config.ts';
import { StagingLostError } from '../../core/errors.ts';
import type { InFlightLimit } from '../../core/in-flight-limit.ts';
import type { PageBuffers } from '../../core/page-buffers.ts';
import { roundOf, type Proof, type RoundKind } from '../../core/state.ts';
import type { ApiClient } from '../../api/api-client.ts';
import { analyzeTarget } from '../../load/merge/analyze-target.ts';
import { Merger } from '../../load/merge/merge.ts';
import type { Database } from '../../load/postgres/database.ts';
import { readTargetTypes, retypeTarget } from '../../load/schema/ingested-events.ts';
import { checkGeneration, type Ownership } from '../../load/state/owner.ts';
import type { BaseUse, StoredRun } from '../../load/state/run-reader.ts';
import { readSourceTraits, type SourceTraits } from '../../load/state/source-traits.ts';
import { StateStore } from '../../load/state/state-store.ts';
import { countRows, type TargetRows } from '../../load/state/target-rows.ts';
import { tidyUp } from '../../load/state/tidy-up.ts';
import { PageEncoder } from '../../threads/page-encoder.ts';
import type { WorkerPool } from '../../threads/worker-pool.ts';
import type { JobOptions } from '../job-options.ts';
import { forNewRun, unknownTraits, type EndpointTraits } from '../walk/endpoint-traits.ts';
import type { FirstAnswer } from '../walk/first-answer.ts';
import { notInOrder } from '../walk/page-checks.ts';
import type { JobCounters } from './job-counters.ts';
import { completeRound } from './complete-round.ts';
import { RunPasses } from './run-passes.ts';
import { LIST_OF_DATASYNC, logRunBegin, openRun, runIdentity } from './run-setup.ts';
import { refuseOtherIdType, warnOfDroppedPages } from './take-target.ts';
import { checkRowsAtStart } from './target-check.ts';

export interface JobParts {
  readonly options: JobOptions;
  readonly counters: JobCounters;
  readonly client: ApiClient;
  readonly buffers: PageBuffers;
  readonly pool: WorkerPool;
  readonly inFlight: InFlightLimit;
  readonly db: Database;
  readonly ownership: Ownership;
  readonly isStopping: () => boolean;
}

/** What `--follow` asks of a run. */
export interface Round {
  /** What is begun where no run is left unfinished; `null`: a run that is to prove something. */
  readonly kind: RoundKind | null;
  /** Of the look that found something new. */
  readonly first?: FirstAnswer;
  readonly pageSize: number;
  /** 1: it has a few pages, and dividing them would cost more requests than it saves time. */
  readonly concurrency: number;
}

export class JobRuns {
  readonly #parts: JobParts;
  readonly store: StateStore;
  /** What is asked for is for the first run alone. */
  #wishes: Pick<Settings, 'reset' | 'full' | 'newRun'>;
  /** Pages that an earlier start, or a run that failed, has copied and not merged. */
  #leftoverPages: number;
  readonly #readAnswer;
  /** The last run did not come to its end: the next one goes on with it. */
  hasFailed = false;
  /** The last run was gone on with. */
  wasResumed = false;
  /** What the last run was. */
  lastTask: RoundKind | 'proof' = 'proof';
  #traits: EndpointTraits | null = null;
  #encoder: PageEncoder | null = null;
  passes: RunPasses | null = null;

  constructor(parts: JobParts) {
    const { options, db, ownership } = parts;
    this.#parts = parts;
    this.store = new StateStore(db, ownership);
    const { reset, full, newRun } = options.settings;
    this.#wishes = { reset, full, newRun };
    this.#leftoverPages = ownership.leftoverPages;
    this.#readAnswer = options.source.described?.answerReader();
  }

  /**
   * The first run of the process.
   * @param counted rows at the first contact; `null` where they could not be counted then
   * @param kind see {@link Round.kind}
   */
  async runFirst(counted: TargetRows | null, kind: Round['kind']): Promise<'complete' | 'stopped'> {
    const { db, ownership, options } = this.#parts;
    // Before pages of an earlier start are merged: it must be of one moment with what is remembered.
    const found = counted ?? (await countRows(db, ownership.source));
    const rowsLeft = this.#wishes.reset ? null : await this.#checkRows(found);
    if (this.#wishes.reset) {
      await this.store.resetTarget();
      options.logger.info('target and state were emptied');
      this.#leftoverPages = 0;
      this.#wishes = { ...this.#wishes, reset: false };
    }
    const { full, newRun } = this.#wishes;
    const { pageSize, concurrency } = options.settings;
    const outcome = await this.#run(rowsLeft, { kind: full || newRun ? null : kind, pageSize, concurrency });
    this.#wishes = { ...this.#wishes, full: false, newRun: false };
    return outcome;
  }

  /** Any later run, and one that an earlier one left unfinished. */
  async run(round: Round): Promise<'complete' | 'stopped'> {
    const { db, ownership } = this.#parts;
    const rowsLeft = round.kind === null ? await this.#checkRows(await countRows(db, ownership.source)) : null;
    return this.#run(rowsLeft, round);
  }

  /** After a run that failed: what its sessions still hold is fenced, and what they have copied is merged by this run. */
  async #recover(): Promise<void> {
    const { db, ownership } = this.#parts;
    await db.persistently('going on after a failure', () => ownership.renew('keep'));
    this.#leftoverPages = ownership.leftoverPages;
    this.hasFailed = false;
  }

  #checkRows(found: TargetRows): Promise<TargetRows | null> {
    const { ownership, options } = this.#parts;
    const { acceptFewerRows } = options.settings;
    const wishes = { ...this.#wishes, acceptFewerRows };
    return checkRowsAtStart(found, ownership.source.target, this.store, wishes, options.logger);
  }

  async #run(rowsLeft: TargetRows | null, { kind, first, ...walk }: Round): Promise<'complete' | 'stopped'> {
    const { options, db, ownership } = this.#parts;
    const { settings, logger, source, observe = {} } = options;
    const { target } = ownership.source;
    if (this.hasFailed) await this.#recover();
    this.hasFailed = true;
    await this.#takeLeftovers(rowsLeft === null);
    refuseOtherIdType(await readTargetTypes(db, target), target, settings.idType);
    const { since, until, lookback, follow } = settings;
    const wishes = { since, until, lookback, follow, ...this.#wishes };
    const identity = runIdentity(source.address, wishes);
    const known = await db.persistently('reading the state', () => readSourceTraits(db, ownership.source));
    const { list = LIST_OF_DATASYNC } = source.described ?? {};
    // Where the order is not that of the times, no time tells what is new: all of it is walked.
    const canBeIncremental = list.canBeIncremental && (kind !== 'new-events' || known.isOrderedByTime);
    const ofList = { ...list, canBeIncremental };
    const { run, isResumed } = await openRun(this.store, identity, wishes, rowsLeft, kind, logger, ofList);
    this.#parts.counters.begin(run);
    this.#parts.client.beginRun();
    const isQuiet = roundOf(run) !== null;
    if (!isQuiet || isResumed) logRunBegin(logger, run, isResumed);
    this.wasResumed = isResumed;
    this.lastTask = roundOf(run) ?? 'proof';
    if (isResumed && !known.isOrderedByTime && source.described?.cursorsAreTimes === true)
      throw notInOrder('an earlier start has seen that');
    this.#traits = this.#traitsOf(isResumed ? known : forNewRun(known));
    this.#encoder = await this.#makeEncoder();
    this.passes = new RunPasses(
      {
        ...this.#parts,
        settings,
        walk,
        logger: isQuiet ? logger.child({}, { level: 'warn' }) : logger,
        observe,
        encoder: this.#encoder,
        store: this.store,
        traits: this.#traits,
        first: isResumed ? undefined : first,
      },
      run,
    );
    const outcome = await this.passes.run();
    this.hasFailed = false;
    if (outcome === 'complete' && !isQuiet) await analyzeTarget(db, target, logger);
    return outcome;
  }

  /** What a description says is believed until a page shows otherwise. */
  #traitsOf(known: SourceTraits): EndpointTraits {
    const { described = null } = this.#parts.options.source;
    if (described === null) return unknownTraits(known);
    const { order, widenedMs, cap, list, bounds, cursorsAreTimes } = described;
    // Where nothing goes without the order, each run looks anew.
    const isOrderedByTime = (known.isOrderedByTime || cursorsAreTimes) && order !== 'none';
    const boundsNeedTimes = (bounds.since || bounds.until) && !cursorsAreTimes;
    const { isOldestFirst } = list;
    const ofList = { widenedMs, cap, cursorsAreTimes, boundsNeedTimes, cursorsKeepBounds: true, isOldestFirst };
    return unknownTraits({ ...known, isOrderedByTime, hasFlag: true }, ofList);
  }

  /** @param isWanted else they are dropped: of a run that is given up they would change how many rows are missed */
  async #takeLeftovers(isWanted: boolean): Promise<void> {
    const { db, ownership } = this.#parts;
    const pages = this.#leftoverPages;
    this.#leftoverPages = 0;
    if (pages === 0) return;
    if (isWanted) await this.#mergeLeftovers(pages);
    else await db.persistently('emptying staging', () => ownership.renew());
  }

  /** Merges pages that were copied and not merged; they are fetched again where their rows are gone. */
  async #mergeLeftovers(pages: number): Promise<void> {
    const { db, ownership, options } = this.#parts;
    const { logger, settings } = options;
    const run = await this.store.currentRun();
    if (run === null) return;
    const merger = new Merger({ db, ownership, runId: run.runId, onConflict: settings.onConflict, logger });
    try {
      await merger.mergeLeftovers();
      logger.info({ pages }, 'pages that an earlier start had copied were merged');
    } catch (error) {
      if (!(error instanceof StagingLostError)) throw error;
      logger.warn({ pages }, error.message);
      await db.persistently('beginning anew after staging was lost', () => ownership.renew());
    }
  }

  /** As far as pages have shown. */
  get isOrderedByTime(): boolean {
    return this.#traits?.isOrderedByTime ?? true;
  }

  /** That of the newest run. */
  async encoder(): Promise<PageEncoder> {
    return (this.#encoder ??= await this.#makeEncoder());
  }

  /** One for each run: the target may have changed. */
  async #makeEncoder(): Promise<PageEncoder> {
    const { options, db, ownership, pool, buffers } = this.#parts;
    const { settings, logger, observe } = options;
    const { source } = ownership;
    const target = await readTargetTypes(db, source.target);
    return new PageEncoder({
      pool,
      buffers,
      plan: source.target.plan,
      maxEventBytes: settings.maxEventBytes,
      idColumnTypes: target === null || target.empty ? null : target.types,
      emptyColumnTypes: target?.types ?? null,
      idType: settings.idType,
      onDecided: async (decided) => {
        warnOfDroppedPages(await retypeTarget(db, source, decided), logger);
        logger.info({ ...decided }, 'types of the id columns decided');
      },
      onEncoded: observe?.encode,
      readAnswer: this.#readAnswer,
    });
  }

  /** See {@link StateStore.baseRun}. */
  newestRun(use: BaseUse): Promise<StoredRun | null> {
    return this.store.baseRun(this.#parts.options.source.address, use);
  }

  /**
   * The run under way is not proven, and will not be: later ones go on from it all the same.
   * @returns false, with nothing changed, where it was not walked to its end: whatever went on from it would pass over the rest
   */
  async closeUnproven(why: string): Promise<boolean> {
    const run = await this.store.currentRun();
    if (run !== null) {
      const windows = await this.store.windows(run.runId);
      if (windows.some(({ complete }) => !complete)) return false;
      const proof: Proof = { kind: 'none', places: 0, expected: null, sentence: why };
      const round = roundOf(run);
      await (round === null
        ? this.store.completeRun(run.runId, { proof })
        : completeRound(this.store, run, round, proof));
    }
    this.hasFailed = false;
    return true;
  }

  /** See {@link tidyUp}. */
  async tidyUp(): Promise<void> {
    const { db, ownership, options } = this.#parts;
    const { runs, anomalies } = await tidyUp(db, ownership, options.settings.keepAnomalies ?? null);
    if (runs + anomalies > 0) options.logger.info({ runs, anomalies }, 'old runs were folded into one a day');
  }

  /** @throws TargetBusyError when another process has taken the source over */
  async checkOwner(): Promise<void> {
    const { db, ownership } = this.#parts;
    await db.persistently('looking who owns the source', () =>
      db.transaction('follow', (client) => checkGeneration(client, ownership)),
    );
  }
}
