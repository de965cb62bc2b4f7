/**
 * One job, from the API to the table. Read this file first.
 *
 *   page       one answer of the API, at most 5,000 events                api/api-client.ts
 *   cursor     the API's opaque position after a page                     app/walk/cursor-age.ts
 *   window     a time range that is walked by its own chain of cursors    app/walk/windows.ts, app/api-stream-reader.ts
 *   batch      the binary COPY rows made from one page                    threads/, workers/, encode/
 *   staging    the unlogged tables that batches are copied into           load/staging-area.ts, load/copy/
 *   ledger     beside staging: one row for each copied page               load/copy/ledger.ts
 *   merge      staging → the source's table, ledger → ingestion.state     load/merge/
 *   anomaly    something unusual about one event: rejected or repaired    encode/rows/anomaly-reasons.ts
 *   pass       one walk over the windows of a run: first, catching up, proving; one to five    app/run/run-passes.ts
 *   run        everything from the first request until complete; survives restarts             app/run/run-setup.ts
 */
import type { ColumnPlan } from '../core/column-plan.ts';
import type { Settings } from '../core/config.ts';
import { StagingLostError } from '../core/errors.ts';
import type { JobObserver, JobSnapshot } from '../core/job-snapshot.ts';
import type { Logger } from '../core/logging.ts';
import { PageBuffers } from '../core/page-buffers.ts';
import type { Proof, RunCounts } from '../core/state.ts';
import { WorkerPool } from '../threads/worker-pool.ts';
import { analyzeTarget } from '../load/merge/analyze-target.ts';
import { Merger } from '../load/merge/merge.ts';
import type { Ownership } from '../load/state/owner.ts';
import { Database } from '../load/postgres/database.ts';
import { readTargetTypes, retypeTarget } from '../load/schema/ingested-events.ts';
import { readSourceTraits, type SourceTraits } from '../load/state/source-traits.ts';
import { StateStore } from '../load/state/state-store.ts';
import { countRows, countRowsMeanwhile, type TargetRows } from '../load/state/target-rows.ts';
import type { ApiClient, ApiClientOptions } from '../api/api-client.ts';
import { InFlightLimit } from '../core/in-flight-limit.ts';
import type { DescribedSource } from './run/described-source.ts';
import { JobCounters } from './run/job-counters.ts';
import { PageEncoder } from '../threads/page-encoder.ts';
import { RunPasses } from './run/run-passes.ts';
import { forNewRun, unknownTraits, type EndpointTraits } from './walk/endpoint-traits.ts';
import { openClient } from './run/open-client.ts';
import { logRunBegin, openRun, runIdentity } from './run/run-setup.ts';
import { refuseOtherIdType, takeTarget, warnOfDroppedPages } from './run/take-target.ts';
import { checkRowsAtStart } from './run/target-check.ts';

/** How long a stopped job waits for pages that it has asked for: they have cost a request. */
const STOP_GRACE_MS = 6_000;

export interface JobSource {
  /** What people call it (`--source`): its table and its state are found by this name. */
  readonly name: string;
  /** Which data set it is: the API's base URL, or the demo's own name. */
  readonly address: string;
  readonly baseUrl: string;
  readonly apiKey: string;
  readonly databaseUrl: string;
  /** Else it is the DataSync API. */
  readonly described?: DescribedSource | null;
  /** How its records become rows; as those of DataSync unless given. */
  readonly plan?: ColumnPlan | undefined;
  /** Named after the source unless given. */
  readonly table?: string | undefined;
  /** Starts the server of the database again when it has ended, where the job is the one to do that. */
  readonly reviveDatabase?: () => Promise<void>;
}

export interface JobOptions {
  readonly settings: Settings;
  readonly source: JobSource;
  readonly logger: Logger;
  readonly secrets: readonly string[];
  readonly onSecret: (secret: string) => void;
  readonly observe?: JobObserver;
  /** Tests only: shorter waits than people need. */
  readonly waits?: Pick<ApiClientOptions, 'backoff' | 'streamLooks'>;
}

export interface JobReport {
  readonly outcome: 'complete' | 'stopped';
  readonly counts: RunCounts;
  /** By what the run is proven complete; `null` when it is not. */
  readonly proof: Proof | null;
  /** Of this process alone. */
  readonly fetchedEvents: number;
  readonly requests: number;
  readonly seconds: number;
}

export class IngestionJob {
  readonly #options: JobOptions;
  readonly #observe: JobObserver;
  readonly #startedMs = performance.now();
  readonly #counters: JobCounters;
  readonly #client: ApiClient;
  readonly #buffers = new PageBuffers();
  readonly #pool: WorkerPool;
  readonly #inFlight: InFlightLimit;
  #isStopping = false;
  #passes: RunPasses | null = null;

  constructor(options: JobOptions) {
    const { settings, source } = options;
    this.#options = options;
    this.#observe = options.observe ?? {};
    this.#counters = new JobCounters(source.address);
    // A page keeps its permit until its COPY has committed: one more for each connection, so that requests do not wait for it.
    this.#inFlight = new InFlightLimit(settings.concurrency + settings.connections, settings.maxBytesInFlight);
    this.#pool = new WorkerPool({ threads: settings.threads, plan: source.plan });
    this.#client = openClient(options, this.#buffers, this.#counters);
  }

  snapshot(): JobSnapshot {
    const walks = this.#passes?.walks;
    return this.#counters.snapshot({
      client: this.#client,
      pool: this.#pool,
      inFlight: this.#inFlight,
      copying: walks?.staging?.copying ?? 0,
      isMerging: walks?.staging?.isMerging ?? false,
      readers: walks?.readers ?? [],
    });
  }

  /**
   * Asks for no further page, waits a few seconds for those on their way, and merges everything that has arrived. Does not
   * wait when no request is on its way, because of a pause.
   */
  stop(): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#counters.phase = 'stopping';
    if (this.#client.waiting !== null) this.#passes?.walks.abort();
    setTimeout(() => {
      this.#passes?.walks.abort();
    }, STOP_GRACE_MS).unref();
  }

  /** @throws JobError for every end but complete and stopped */
  async run(): Promise<JobReport> {
    let db: Database | null = null;
    let ownership: Ownership | null = null;
    try {
      const { settings, source, logger } = this.#options;
      const contacted = await this.#contactBoth();
      const opened = contacted.db;
      db = opened;
      ownership = await opened.persistently('taking the target', () => takeTarget(opened, source, settings, logger));
      const outcome = await this.#work(opened, ownership, contacted.rows);
      return {
        outcome,
        counts: this.#counters.counts,
        proof: this.#counters.proof,
        fetchedEvents: this.#counters.fetchedEvents,
        requests: this.#client.requests,
        seconds: (performance.now() - this.#startedMs) / 1000,
      };
    } finally {
      await Promise.allSettled([this.#client.close(), this.#pool.destroy()]);
      await ownership?.release().catch(() => undefined);
      await db?.close().catch(() => undefined);
    }
  }

  /** Contacts the API, and meanwhile the database, whose rows are counted. Changes nothing. */
  async #contactBoth(): Promise<{ readonly db: Database; readonly rows: TargetRows | null }> {
    const { settings, source, logger } = this.#options;
    const opening = Database.open({
      url: source.databaseUrl,
      copyConnections: settings.connections,
      applicationName: `datasync-ingestion ${source.name}`,
      logger,
      maxWaitMs: settings.maxWait,
      revive: source.reviveDatabase,
      onWaiting: (reason) => {
        this.#counters.databaseWait = reason;
      },
    });
    const contacting = this.#client.open();
    const counting = opening.then((db) =>
      db.persistently('counting the rows of the target', () => countRowsMeanwhile(db, source.name)),
    );
    const [opened, contacted, counted] = await Promise.allSettled([opening, contacting, counting]);
    const failed = [opened, contacted, counted].find((result) => result.status === 'rejected');
    if (opened.status === 'rejected' || contacted.status === 'rejected' || counted.status === 'rejected') {
      if (opened.status === 'fulfilled') await opened.value.close();
      throw failed?.reason;
    }
    logger.info(contacted.value, 'endpoint chosen');
    return { db: opened.value, rows: counted.value };
  }

  /** @param counted rows at the first contact; `null` where they could not be counted then */
  async #work(db: Database, ownership: Ownership, counted: TargetRows | null): Promise<JobReport['outcome']> {
    const { settings, source, logger } = this.#options;
    const { target } = ownership.source;
    const store = new StateStore(db, ownership);
    // Before pages of an earlier start are merged: it must be of one moment with what is remembered.
    const found = counted ?? (await countRows(db, ownership.source));
    const rowsLeft = settings.reset ? null : await checkRowsAtStart(found, target, store, settings, logger);
    if (settings.reset) {
      await store.resetTarget();
      logger.info('target and state were emptied');
    } else if (ownership.leftoverPages > 0) {
      // Pages of a run that is given up are not merged first: that would change how many rows are missed.
      if (rowsLeft === null) await this.#mergeLeftovers(db, ownership, store);
      else await db.persistently('emptying staging', () => ownership.renew());
    }
    refuseOtherIdType(await readTargetTypes(db, target), target, settings.idType);
    const identity = runIdentity(source.address, settings);
    const { run, isResumed } = await openRun(store, identity, settings, rowsLeft, logger);
    this.#counters.begin(run);
    logRunBegin(logger, run, isResumed);
    const known = await readSourceTraits(db, ownership.source);
    this.#passes = new RunPasses(
      {
        settings,
        logger,
        observe: this.#observe,
        counters: this.#counters,
        client: this.#client,
        inFlight: this.#inFlight,
        encoder: await this.#makeEncoder(db, ownership),
        buffers: this.#buffers,
        db,
        ownership,
        store,
        traits: this.#traitsOf(isResumed ? known : forNewRun(known)),
        isStopping: () => this.#isStopping,
      },
      run,
    );
    const outcome = await this.#passes.run();
    if (outcome === 'complete') await analyzeTarget(db, target, logger);
    return outcome;
  }

  /** What a description says is believed until a page shows otherwise. */
  #traitsOf(known: SourceTraits): EndpointTraits {
    const { described = null } = this.#options.source;
    if (described === null) return unknownTraits(known);
    const { order, widenedMs, cap } = described;
    const isOrderedByTime = known.isOrderedByTime && order === 'newest-first';
    return unknownTraits({ ...known, isOrderedByTime, hasFlag: true }, { widenedMs, cap, cursorsKeepBounds: true });
  }

  /** Merges the pages that an earlier start has copied and not merged; they are fetched again where their rows are gone. */
  async #mergeLeftovers(db: Database, ownership: Ownership, store: StateStore): Promise<void> {
    const { settings, logger } = this.#options;
    const run = await store.currentRun();
    if (run === null) return;
    const merger = new Merger({ db, ownership, runId: run.runId, onConflict: settings.onConflict, logger });
    try {
      await merger.mergeLeftovers();
      logger.info({ pages: ownership.leftoverPages }, 'pages that an earlier start had copied were merged');
    } catch (error) {
      if (!(error instanceof StagingLostError)) throw error;
      logger.warn({ pages: ownership.leftoverPages }, error.message);
      await db.persistently('beginning anew after staging was lost', () => ownership.renew());
    }
  }

  async #makeEncoder(db: Database, { source }: Ownership): Promise<PageEncoder> {
    const { settings, logger } = this.#options;
    const target = await readTargetTypes(db, source.target);
    return new PageEncoder({
      pool: this.#pool,
      buffers: this.#buffers,
      plan: source.target.plan,
      maxEventBytes: settings.maxEventBytes,
      idColumnTypes: target === null || target.empty ? null : target.types,
      emptyColumnTypes: target?.types ?? null,
      idType: settings.idType,
      onDecided: async (decided) => {
        warnOfDroppedPages(await retypeTarget(db, source, decided), logger);
        logger.info({ ...decided }, 'types of the id columns decided');
      },
      onEncoded: this.#observe.encode,
      readAnswer: this.#options.source.described?.answerReader(),
    });
  }
}
