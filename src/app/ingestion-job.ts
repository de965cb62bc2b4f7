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
 *   round      one look of --follow at what is new, and the run that takes it                  app/follow/follower.ts
 */
import { SYSTEM_CLOCK } from '../core/clock.ts';
import { InFlightLimit } from '../core/in-flight-limit.ts';
import type { JobSnapshot } from '../core/job-snapshot.ts';
import { PageBuffers } from '../core/page-buffers.ts';
import type { Proof, RunCounts } from '../core/state.ts';
import { WorkerPool } from '../threads/worker-pool.ts';
import type { Ownership } from '../load/state/owner.ts';
import { Database } from '../load/postgres/database.ts';
import { countRowsMeanwhile, type TargetRows } from '../load/state/target-rows.ts';
import { untilReached } from './follow/away.ts';
import { Follower } from './follow/follower.ts';
import { isPatient } from './follow/round-plan.ts';
import type { JobOptions } from './job-options.ts';
import { JobCounters } from './run/job-counters.ts';
import { JobRuns, type JobParts } from './run/job-runs.ts';
import { openClient } from './run/open-client.ts';
import { refuseToFollow } from './run/run-setup.ts';
import { takeTarget } from './run/take-target.ts';

/** How long a stopped job waits for pages that it has asked for: they have cost a request. */
const STOP_GRACE_MS = 6_000;

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
  readonly #startedMs = performance.now();
  /** What stays open from run to run. */
  readonly #parts: Pick<JobParts, 'counters' | 'client' | 'buffers' | 'pool' | 'inFlight'>;
  readonly #stopped = new AbortController();
  #runs: JobRuns | null = null;

  constructor(options: JobOptions) {
    const { settings, source } = options;
    this.#options = options;
    const counters = new JobCounters(source.address, source.plan?.isOldestFirst === true);
    const buffers = new PageBuffers();
    this.#parts = {
      counters,
      buffers,
      client: openClient(options, buffers, counters),
      pool: new WorkerPool({ threads: settings.threads, plan: source.plan }),
      // A page keeps its permit until its COPY has committed: one more for each connection, so that requests do not wait for it.
      inFlight: new InFlightLimit(settings.concurrency + settings.connections, settings.maxBytesInFlight),
    };
  }

  snapshot(): JobSnapshot {
    const { counters, client, pool, inFlight } = this.#parts;
    const walks = this.#runs?.passes?.walks;
    return counters.snapshot({
      client,
      pool,
      inFlight,
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
    if (this.#stopped.signal.aborted) return;
    this.#stopped.abort();
    const { counters, client } = this.#parts;
    counters.phase = 'stopping';
    const abort = (): void => this.#runs?.passes?.walks.abort();
    if (client.waiting !== null) abort();
    setTimeout(() => {
      abort();
    }, STOP_GRACE_MS).unref();
  }

  /** @throws JobError for every end but complete and stopped */
  async run(): Promise<JobReport> {
    let db: Database | null = null;
    let ownership: Ownership | null = null;
    try {
      const { settings, source, logger } = this.#options;
      refuseToFollow(settings, source.described ?? null);
      const { counters } = this.#parts;
      const standby = settings.wait ? this.#stopped.signal : null;
      // A standby spends nothing of the API's budget, and who follows waits for one after the other.
      const isApiLater = standby !== null || settings.follow !== undefined;
      const contacted = isApiLater ? { db: await this.#openDatabase(), rows: null } : await this.#contactBoth();
      const opened = contacted.db;
      db = opened;
      if (standby !== null) counters.phase = 'standby';
      ownership = await opened.persistently('taking the target', () =>
        takeTarget(opened, source, settings, logger, standby),
      );
      if (isApiLater) {
        counters.phase = 'starting';
        await this.#contactApi();
      }
      return this.#report(await this.#work(opened, ownership, contacted.rows));
    } catch (error) {
      if (error === this.#stopped.signal.reason) return this.#report('stopped');
      throw error;
    } finally {
      await Promise.allSettled([this.#parts.client.close(), this.#parts.pool.destroy()]);
      await ownership?.release().catch(() => undefined);
      await db?.close().catch(() => undefined);
    }
  }

  #report(outcome: JobReport['outcome']): JobReport {
    const { counters, client } = this.#parts;
    return {
      outcome,
      counts: counters.counts,
      proof: counters.proof,
      fetchedEvents: counters.fetchedEvents,
      requests: client.requests,
      seconds: (performance.now() - this.#startedMs) / 1000,
    };
  }

  /** See {@link untilReached}; who does not follow tries once. */
  #reach<T>(contact: (failures: number) => Promise<T>): Promise<T> {
    const { settings, logger, clock = SYSTEM_CLOCK } = this.#options;
    const { follow } = settings;
    if (follow === undefined) return contact(0);
    return untilReached(contact, follow, this.#stopped.signal, { logger, clock, counters: this.#parts.counters });
  }

  #openDatabase(): Promise<Database> {
    const { settings, source, logger } = this.#options;
    const options = {
      url: source.databaseUrl,
      copyConnections: settings.connections,
      applicationName: `datasync-ingestion ${source.name}`,
      logger,
      maxWaitMs: settings.follow === undefined ? settings.maxWait : Infinity,
      revive: source.reviveDatabase,
      onWaiting: (reason: string | null) => {
        this.#parts.counters.databaseWait = reason;
      },
    };
    // What was waited for in vain is then asked once in a while.
    return this.#reach((failures) => Database.open(failures === 0 ? options : { ...options, firstContactMs: 0 }));
  }

  async #contactApi(): Promise<void> {
    const { client } = this.#parts;
    const open = (failures: number) => client.open(failures > 0 && !isPatient(failures));
    this.#options.logger.info(await this.#reach(open), 'endpoint chosen');
  }

  /** Contacts the API, and meanwhile the database, whose rows are counted. Changes nothing. */
  async #contactBoth(): Promise<{ readonly db: Database; readonly rows: TargetRows | null }> {
    const { source } = this.#options;
    const opening = this.#openDatabase();
    const contacting = this.#contactApi();
    const counting = opening.then((db) =>
      db.persistently('counting the rows of the target', () => countRowsMeanwhile(db, source.name)),
    );
    const [opened, contacted, counted] = await Promise.allSettled([opening, contacting, counting]);
    const failed = [opened, contacted, counted].find((result) => result.status === 'rejected');
    if (opened.status === 'rejected' || contacted.status === 'rejected' || counted.status === 'rejected') {
      if (opened.status === 'fulfilled') await opened.value.close();
      throw failed?.reason;
    }
    return { db: opened.value, rows: counted.value };
  }

  /** @param counted rows at the first contact; `null` where they could not be counted then */
  async #work(db: Database, ownership: Ownership, counted: TargetRows | null): Promise<JobReport['outcome']> {
    const { settings, logger, clock = SYSTEM_CLOCK } = this.#options;
    const runs = new JobRuns({
      ...this.#parts,
      options: this.#options,
      db,
      ownership,
      isStopping: () => this.#stopped.signal.aborted,
    });
    this.#runs = runs;
    const { follow } = settings;
    if (follow === undefined) return runs.runFirst(counted, null);
    const { client, counters } = this.#parts;
    const stopped = this.#stopped.signal;
    return new Follower({ settings, follow, logger, clock, client, counters, runs, stopped }).follow(counted);
  }
}
