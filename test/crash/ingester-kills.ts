/**
 * One round of killing: a run with settings of its own, its ingester killed with SIGKILL at random moments and started again,
 * until it is complete. Everything random comes from the round's seed.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { StartOptions } from '../../src/simulator/simulator.ts';
import { testCluster } from '../support/database.ts';
import type { Program } from '../support/processes.ts';
import { CrashScene, lastLines } from './crash-scene.ts';
import { Draws } from './draws.ts';
import { ranksServed, servedAgain } from './resume-cost.ts';

export interface Round {
  readonly seed: number;
  readonly source: StartOptions;
  readonly endpoint: Endpoint;
  readonly onConflict: string;
  /** Events come while nobody looks, and must be found by the same run. */
  readonly hasNews: boolean;
  /** A start may be for the other endpoint than the one before it. */
  readonly changesEndpoint: boolean;
  /** When it is complete, a later run takes what is new, and is killed too. */
  readonly goesOn: boolean;
  /** PostgreSQL may crash between a kill and the next start: what was staged is gone. */
  readonly losesDatabase: boolean;
  /** What its resumes ask for again is held against what they may. */
  readonly isMeasured: boolean;
}

/** Of the later run. */
const LATER_EVENTS = 2_000;
const KILLS_OF_LATER_RUN = 2;

type Endpoint = 'stream' | 'events';

/** What may change freely between the starts of a run. */
interface Speed {
  readonly pageSize: number;
  readonly concurrency: number;
  readonly connections: number;
  readonly threads: number;
  readonly mergeSeconds: number;
}

export interface RoundResult {
  readonly kills: number;
  /** Kills that met a merge under way. */
  readonly killsInMerge: number;
  readonly rows: number;
  readonly requests: number;
  /**
   * What resumes asked for again against what they may, events of all of the round's; `null` where nothing bounds it: the
   * source doubles events, breaks pages, or can be walked from the top only.
   */
  readonly again: { readonly events: number; readonly allowed: number } | null;
}

/** The settings of a round: every kind that decides how a walk is resumed. */
export function drawRound(seed: number, events: number): Round {
  const draws = new Draws(seed);
  const endpoint = draws.pick(['stream', 'stream', 'events']);
  const doubled = draws.pick([0, 20]);
  const shape = doubled > 0 ? 'docs' : draws.pick(['live', 'docs']);
  const source: StartOptions = {
    events: endpoint === 'events' ? Math.floor(events / 2) : events,
    seed: draws.int(1, 1e6),
    distribution: draws.pick(['uniform', 'skewed', 'gaps', 'ties']),
    tieSize: 90,
    ids: draws.pick(['uuid', 'uuid', 'text']),
    timestamps: draws.chance(0.5) ? ['ms', 'iso'] : ['iso-micros'],
    badIds: draws.pick([0, 0.01]),
    badTimes: draws.pick([0, 0.01]),
    doubled,
    shape,
    envelope: draws.pick(['after', 'before']),
    windows: draws.pick(['honoured', 'honoured', 'ignored']),
    sinceBound: draws.pick(['inclusive', 'exclusive']),
    untilBound: draws.pick(['inclusive', 'exclusive']),
    sinceWithCursor: draws.pick(['honoured', 'ignored']),
    // A start takes a second or two: cursors that are dead by then, on endpoints that can be asked by time.
    cursorTtl: endpoint === 'stream' ? draws.pick([116, 116, 1]) : 116,
    staleAs: draws.pick(['400', '410']),
    latency: draws.pick([60, 120]),
    latencyJitter: draws.pick([0, 150]),
    faults: draws.chance(0.3) ? { 'reset-body': 0.02, '500-json': 0.02 } : {},
    // Found by their number alone, where the source tells it: by walking again, which can be killed as well.
    ...(shape === 'live' && draws.chance(0.3) ? { faultPlan: lostEvents(endpoint, draws) } : {}),
  };
  const round: Round = {
    seed,
    // Without windows a dead cursor means walking from the top, which a cursor of a second cannot survive.
    source: source.windows === 'ignored' ? { ...source, cursorTtl: 116 } : source,
    endpoint,
    onConflict: draws.pick(['ignore', 'update']),
    hasNews: draws.chance(0.3),
    changesEndpoint: draws.chance(0.15),
    goesOn: draws.chance(0.3),
    losesDatabase: draws.chance(0.2),
    isMeasured: false,
  };
  return draws.chance(0.35) ? measured(round) : round;
}

function lostEvents(endpoint: Endpoint, draws: Draws): NonNullable<StartOptions['faultPlan']> {
  return [draws.int(2, 8), draws.int(9, 25)].map((nth) => ({ on: endpoint, nth, fault: 'lost-events' }));
}

function drawSpeed(draws: Draws): Speed {
  return {
    pageSize: draws.pick([97, 200, 500]),
    concurrency: draws.pick([1, 3, 8]),
    connections: draws.pick([1, 4]),
    threads: draws.pick([1, 2]),
    mergeSeconds: draws.pick([1, 1, 3, 3_600]),
  };
}

function flagsFor(speed: Speed): string[] {
  return [
    ...['--page-size', String(speed.pageSize), '--concurrency', String(speed.concurrency)],
    ...['--connections', String(speed.connections), '--threads', String(speed.threads)],
    ...['--merge-interval', String(speed.mergeSeconds)],
  ];
}

/**
 * The same round without anything that makes a run ask for events again even when nobody kills it. (Where `since` does not
 * count beside a cursor, each window's last page reaches into the one below.)
 */
function measured({ source, ...round }: Round): Round {
  const calm: StartOptions = {
    doubled: 0,
    faults: {},
    faultPlan: [],
    windows: 'honoured',
    sinceWithCursor: 'honoured',
  };
  const distribution = source.distribution === 'ties' ? 'uniform' : source.distribution;
  return {
    ...round,
    source: { ...source, ...calm, ...(distribution === undefined ? {} : { distribution }) },
    hasNews: false,
    changesEndpoint: false,
    goesOn: false,
    losesDatabase: false,
    isMeasured: true,
  };
}

/**
 * Plays the round and compares the table with the source.
 * @throws with the seed and the last lines of the ingester
 */
export async function playRound(t: TestContext, round: Round, limits: { kills: number }): Promise<RoundResult> {
  try {
    return await play(t, round, limits.kills);
  } catch (error) {
    throw new Error(`${describeRound(round)}\n${String(error)}`, { cause: error });
  }
}

async function play(t: TestContext, round: Round, mostKills: number): Promise<RoundResult> {
  const scene = await CrashScene.open(t, {
    ...round.source,
    flags: ['--on-conflict', round.onConflict],
    ...(round.losesDatabase ? { cluster: await testCluster(t) } : {}),
  });
  const killing = new Killing(scene, round);
  await killing.untilComplete(mostKills);
  if (round.goesOn) {
    scene.simulator.addEvents(LATER_EVENTS);
    await killing.untilComplete(KILLS_OF_LATER_RUN);
  }
  return killing.result();
}

/** Starts, kills, and starts again. */
class Killing {
  readonly #scene: CrashScene;
  readonly #round: Round;
  readonly #draws: Draws;
  #endpoint: Endpoint;
  #speed: Speed;
  #ingester: Program | null = null;
  #kills = 0;
  #killsInMerge = 0;
  #resumed: { readonly atMs: number; readonly served: Set<number> } | null = null;
  readonly #again: { events: number; allowed: number } | null;

  constructor(scene: CrashScene, round: Round) {
    this.#scene = scene;
    this.#round = round;
    this.#draws = new Draws(round.seed ^ 0x5eed);
    this.#endpoint = round.endpoint;
    this.#speed = drawSpeed(this.#draws);
    this.#again = round.isMeasured ? { events: 0, allowed: 0 } : null;
  }

  /** A run, from its first start to its end. */
  async untilComplete(mostKills: number): Promise<void> {
    let ingester = this.#start();
    for (let kills = 0; kills < mostKills; kills += 1) {
      // The first one at a moment that comes for certain: a round without a kill would show nothing.
      const kind = kills === 0 ? 'pages' : this.#draws.pick(['any', 'pages', 'pages', 'merge', 'merge']);
      const merging = await untilMoment(this.#scene, ingester, kind, this.#draws);
      if (ingester.ended !== null) break;
      ingester.killGroup('SIGKILL');
      await ingester.waitForExit();
      this.#kills += 1;
      if (merging) this.#killsInMerge += 1;
      ingester = await this.#startAgain();
    }
    await this.#scene.expectExit(ingester, 0);
    this.#settleResume();
  }

  async result(): Promise<RoundResult> {
    const { rows } = await this.#scene.assertExact().catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.#ingester === null ? '' : lastLines(this.#ingester)}`);
    });
    // All together: what one start lost, and the next had no time to ask for, is left to a later one.
    const again = this.#again;
    if (again !== null) {
      assert.ok(
        again.events <= again.allowed,
        `resumes asked for ${again.events} events again, of ${again.allowed} allowed`,
      );
    }
    const requests = this.#scene.simulator.stats().requestsTotal;
    return { kills: this.#kills, killsInMerge: this.#killsInMerge, rows, requests, again };
  }

  #start(): Program {
    const { changesEndpoint } = this.#round;
    if (this.#kills > 0) this.#speed = drawSpeed(this.#draws);
    if (changesEndpoint && this.#draws.chance(0.3)) this.#endpoint = this.#endpoint === 'stream' ? 'events' : 'stream';
    this.#ingester = this.#scene.start({
      npm: true,
      flags: ['--endpoint', this.#endpoint, ...flagsFor(this.#speed)],
    });
    return this.#ingester;
  }

  async #startAgain(): Promise<Program> {
    const { simulator } = this.#scene;
    this.#settleResume();
    const atMs = Date.now();
    this.#resumed = { atMs, served: ranksServed(simulator, atMs) };
    const inFlightEvents = (this.#speed.concurrency + this.#speed.connections) * this.#speed.pageSize;
    const windows = await openWindows(this.#scene);
    if (this.#round.losesDatabase && this.#draws.chance(0.5)) await this.#scene.database.cluster.restart('immediate');
    if (this.#round.hasNews && this.#draws.chance(0.5)) simulator.addEvents(this.#draws.int(1, 50));
    const next = this.#start();
    // One page a window, and one for the look at what is new.
    if (this.#again !== null) this.#again.allowed += inFlightEvents + (windows + 1) * this.#speed.pageSize;
    return next;
  }

  #settleResume(): void {
    if (this.#again === null || this.#resumed === null) return;
    const { atMs, served } = this.#resumed;
    this.#resumed = null;
    this.#again.events += servedAgain(this.#scene.simulator, atMs, served).events;
  }
}

/** Windows that the next start goes on with; 0 while there are no tables. */
async function openWindows(scene: CrashScene): Promise<number> {
  const tables = await scene.number(`SELECT count(*) FROM pg_class WHERE relname = 'state'`);
  return tables === 0 ? 0 : scene.number('SELECT count(*) FROM ingestion.state WHERE NOT complete');
}

/** Waits for the moment to kill. Returns whether a merge was under way. */
async function untilMoment(
  scene: CrashScene,
  ingester: Program,
  kind: 'any' | 'pages' | 'merge',
  draws: Draws,
): Promise<boolean> {
  const pages = draws.int(1, scene.pagesServed === 0 ? 6 : 40);
  const waitMs = draws.int(0, kind === 'any' ? 3_000 : 150);
  const served = scene.pagesServed;
  const isMerging = async (): Promise<boolean> => (await scene.backends('merge')).length > 0;
  const reached = async (): Promise<boolean> => {
    if (ingester.ended !== null || kind === 'any') return true;
    return kind === 'pages' ? scene.pagesServed >= served + pages : isMerging();
  };
  await scene.until(`the moment to kill (${kind})`, reached, null);
  if (kind === 'merge') return ingester.ended === null;
  await delay(waitMs);
  return isMerging();
}

export function describeRound({ seed, ...round }: Round): string {
  return `CRASH_SEED=${seed}: ${JSON.stringify(round)}`;
}
