/**
 * `--follow`: after a complete run the process stays, and takes what is new, again and again.
 *
 *   look at the newest page ──▶ nothing new ──▶ wait
 *     │ new events                         each is a run of its own, over what the job holds open: state, proof and
 *     │ lookback, every quarter of it      anomalies as ever. A full page is followed by the next round at once
 *     └ proof, every --prove-every
 *
 * An API or a database that is away is waited for. What waiting does not mend ends the job: a stop, a key that is refused, another
 * owner, wrong settings.
 */
import type { ApiClient } from '../../api/api-client.ts';
import type { Clock } from '../../core/clock.ts';
import type { Settings } from '../../core/config.ts';
import { EXIT_CODES, JobError } from '../../core/errors.ts';
import { isoText } from '../../core/iso-text.ts';
import type { FollowSnapshot } from '../../core/job-snapshot.ts';
import type { Logger } from '../../core/logging.ts';
import type { RunCounts } from '../../core/state.ts';
import type { TargetRows } from '../../load/state/target-rows.ts';
import type { JobCounters } from '../run/job-counters.ts';
import type { JobRuns, Round } from '../run/job-runs.ts';
import { floorBehind } from '../run/run-setup.ts';
import { Away } from './away.ts';
import { NewestPage, type Look } from './newest-page.ts';
import { RoundPlan, isPatient, type Task } from './round-plan.ts';

/** Where times do not tell what is new, a round walks all of the list: it may take at most this part of the time. */
const SHARE_OF_WHOLE_WALKS = 10;
const HOUR_MS = 3_600_000;

export interface FollowParts {
  readonly settings: Settings;
  /** Interval between two looks, ms. */
  readonly follow: number;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly client: ApiClient;
  readonly counters: JobCounters;
  readonly runs: JobRuns;
  /** Aborted when a stop is asked for. */
  readonly stopped: AbortSignal;
}

export class Follower {
  readonly #parts: FollowParts;
  readonly #plan: RoundPlan;
  readonly #newest: NewestPage;
  /** A first run is over. */
  #hasBegun = false;
  /** From here on events may be new, epoch ms; `null` where times do not tell. */
  #floorMs: number | null = null;
  readonly #away: Away;
  /** When something was last told, ms of the clock's `elapsedMs`. */
  #toldMs = 0;

  constructor(parts: FollowParts) {
    const { settings, follow, client, runs, clock } = parts;
    const { lookback, proveEvery, pageSize } = settings;
    this.#parts = parts;
    this.#away = new Away(parts);
    this.#plan = new RoundPlan({ intervalMs: follow, lookbackMs: lookback, proveEveryMs: proveEvery });
    this.#newest = new NewestPage({ client, encoder: () => runs.encoder(), pageSize, clock });
  }

  /**
   * @param counted see {@link JobRuns.runFirst}
   * @throws JobError that waiting does not mend
   */
  async follow(counted: TargetRows | null): Promise<'stopped'> {
    const { clock, counters, stopped } = this.#parts;
    let pauseMs = await this.#survive(() => this.#begin(counted));
    for (;;) {
      if (stopped.aborted) return 'stopped';
      counters.phase = 'following';
      if (this.#hasBegun) counters.followed({ nextLookMs: clock.now() + pauseMs });
      this.#tellHourly();
      await clock.wait(pauseMs, stopped);
      // What was counted at the first contact is no news any more.
      pauseMs = await this.#survive(() => (this.#hasBegun ? this.#round() : this.#begin(null)));
    }
  }

  /** @returns how long to wait until the next round, ms */
  async #survive(round: () => Promise<number>): Promise<number> {
    const { client, counters, stopped, follow } = this.#parts;
    const wasted = (): number => client.requests - counters.fetchedPages;
    const wastedBefore = wasted();
    try {
      const pauseMs = await round();
      if (!stopped.aborted) this.#away.noteServed();
      return pauseMs;
    } catch (error) {
      if (stopped.aborted && error === stopped.reason) return 0;
      if (!(error instanceof JobError)) throw error;
      switch (error.mendedBy) {
        case 'person':
          throw error;
        case 'proof':
          await this.#showUnproven(error);
          return follow;
        case 'time':
          this.#away.note(error);
          return this.#plan.noteFailed(wasted() - wastedBefore);
      }
    }
  }

  /** The first run: as any start's, unless everything was proven not long ago. */
  async #begin(counted: TargetRows | null): Promise<number> {
    const { runs, clock, follow, logger, counters, stopped } = this.#parts;
    // Whether it serves again, one request shows.
    if (this.#plan.failures > 0) await this.#newest.look(null, stopped, isPatient(this.#plan.failures));
    const attempt = await runs.newestRun('attempt');
    // A clock that was wrong must not put the next proof off for years.
    const agoMs =
      attempt === null ? Infinity : Math.max(0, clock.now() - (attempt.serverDateMs ?? attempt.startedAtMs));
    this.#plan.proofWas(agoMs, clock.elapsedMs());
    const task = this.#plan.isProofDue(clock.elapsedMs()) ? 'proof' : 'lookback';
    if ((await runs.runFirst(counted, task === 'proof' ? null : task)) === 'stopped') return 0;
    await this.#noteRun(null);
    if (task === 'lookback' && attempt?.proof?.kind === 'none') {
      // Not every restart walks everything again; what an earlier process has shown stays shown until a run is proven.
      counters.followed({ unproven: { exitCode: EXIT_CODES.countsDisagree, reason: attempt.proof.sentence } });
    }
    logger.info({ ...shown(counters.counts), every_seconds: follow / 1000 }, 'complete; following what is new');
    return 0;
  }

  async #round(): Promise<number> {
    const { runs, clock, follow, counters, stopped } = this.#parts;
    await runs.checkOwner();
    counters.followed({ looks: counters.follow.looks + 1 });
    const look = await this.#newest.look(this.#floorMs, stopped, isPatient(this.#plan.failures));
    const task = this.#plan.taskAfter(look, clock.elapsedMs());
    if (task === 'nothing' && !runs.hasFailed) {
      this.#noteTaken(look);
      this.#plan.noteDone(task, look.total, false, clock.elapsedMs());
      return follow;
    }
    return this.#take(task === 'nothing' ? 'new-events' : task, look);
  }

  async #take(task: Exclude<Task, 'nothing'>, look: Look): Promise<number> {
    const { runs, clock, follow, counters, logger } = this.#parts;
    const begunMs = clock.elapsedMs();
    try {
      if ((await runs.run(this.#roundFor(task, look))) === 'stopped') return 0;
    } catch (error) {
      if (!(error instanceof JobError) || error.mendedBy !== 'proof') throw error;
      await this.#showUnproven(error);
      // What was rejected is no news at the next look.
      if (!runs.wasResumed) this.#noteTaken(look);
      return follow;
    }
    const { inserted, updated, rejected } = counters.counts;
    if (inserted + updated > 0) {
      counters.followed({ lastTakenMs: clock.now(), takenEvents: counters.follow.takenEvents + inserted + updated });
    }
    if (inserted + updated > 0 || (task === 'new-events' && rejected > 0)) {
      this.#toldMs = clock.elapsedMs();
      logger.info({ round: task, ...shown(counters.counts) }, 'new events were taken');
    }
    // What was gone on with need not have brought what the look has shown.
    await this.#noteRun(runs.wasResumed ? null : look);
    if (runs.wasResumed) return 0;
    this.#noteTaken(look);
    if (this.#floorMs === null) return Math.max(follow, SHARE_OF_WHOLE_WALKS * (clock.elapsedMs() - begunMs));
    // A list that is always new and brings nothing must not be asked without end.
    return look.isFull && inserted + updated > 0 ? 0 : follow;
  }

  #noteTaken(look: Look): void {
    const { counters } = this.#parts;
    this.#newest.noteTaken(look);
    counters.followed({ newestEventMs: look.newestMs ?? counters.follow.newestEventMs });
  }

  /** Where the look was no full page, what is left behind it needs no larger one, unless the round walks everything. */
  #roundFor(task: Exclude<Task, 'nothing'>, { first, isFull, limit }: Look): Round {
    const { pageSize, concurrency } = this.#parts.settings;
    const isLong = task === 'proof' || isFull || this.#floorMs === null;
    const walk = { pageSize: isLong ? pageSize : limit, concurrency: isLong ? concurrency : 1 };
    if (task === 'new-events' && first !== null) return { kind: task, first, ...walk };
    return { ...walk, kind: task === 'proof' ? null : task, pageSize: this.#newest.limitFor(pageSize) };
  }

  async #noteRun(look: Look | null): Promise<void> {
    const { runs, clock, counters, settings } = this.#parts;
    const task = runs.lastTask;
    const { inserted, updated, rejected } = counters.counts;
    const newest = await runs.newestRun('new-events');
    this.#hasBegun = true;
    this.#floorMs = newest !== null && runs.isOrderedByTime ? floorBehind(newest, 'new-events', settings) : null;
    const maxLagMs = settings.maxLag ?? null;
    counters.followed({ newestEventMs: counters.follow.newestEventMs ?? newest?.watermarkMs ?? null, maxLagMs });
    const proof = task === 'proof' ? counters.proof : null;
    if (proof !== null) counters.followed({ lastProof: { kind: proof.kind, atMs: clock.now() }, unproven: null });
    else if (counters.follow.lastProof === null) counters.followed({ lastProof: await this.#earlierProof() });
    if (task === 'proof') await runs.tidyUp();
    // Of a run that walks further down than the look, its own first page says the total.
    const total = (task === 'new-events' ? null : newest?.passTotal) ?? look?.total ?? null;
    this.#plan.noteDone(task, total, inserted + updated + rejected > 0, clock.elapsedMs());
  }

  /** Of an earlier process: a restart makes no proof younger, and none older. */
  async #earlierProof(): Promise<FollowSnapshot['lastProof']> {
    const run = await this.#parts.runs.newestRun('proof');
    if (run === null || run.proof === null) return null;
    return { kind: run.proof.kind, atMs: run.serverDateMs ?? run.startedAtMs };
  }

  /** @throws the error where a run was left on its way, or there is none, so that there is nothing to go on from */
  async #showUnproven(error: JobError): Promise<void> {
    const { runs, logger, settings, clock, counters } = this.#parts;
    const isOver = await runs.closeUnproven(error.message);
    if (!isOver || (await runs.newestRun('new-events')) === null) throw error;
    // What an earlier run was proven by is no proof of now.
    counters.proof = null;
    await this.#noteRun(null);
    // It may have ended before it was a run.
    if (this.#plan.isProofDue(clock.elapsedMs())) this.#plan.proofWas(0, clock.elapsedMs());
    counters.followed({ unproven: { exitCode: error.exitCode, reason: error.message } });
    const next_proof_seconds = settings.proveEvery / 1000;
    logger.error(
      { exit_code: error.exitCode, next_proof_seconds, reason: error.message },
      'not proven; following goes on',
    );
  }

  /** Where nothing else is told, that it lives. */
  #tellHourly(): void {
    const { logger, clock, counters, client } = this.#parts;
    const nowMs = clock.elapsedMs();
    if (this.#away.isAway || nowMs - this.#toldMs < HOUR_MS) return;
    this.#toldMs = nowMs;
    const { looks, newestEventMs, takenEvents } = counters.follow;
    const newest_event = isoText(newestEventMs);
    logger.info(
      { looks, requests: client.requests, new_events: takenEvents, newest_event },
      'following; nothing new lately',
    );
  }
}

function shown({ served, inserted, updated, duplicates, rejected, pages }: RunCounts) {
  return { events: served, inserted, updated, duplicates, rejected, pages };
}
