/**
 * One round of killing: a run with random settings, whose ingester is killed with SIGKILL at random moments and started again
 * until the run is complete. Everything random comes from the round's seed.
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
  /** Events may arrive between a kill and the next start, and the same run must find them. */
  readonly hasNews: boolean;
  /** A start may use another endpoint than the one before it. */
  readonly changesEndpoint: boolean;
  /** After the run, a later run loads new events, and is killed too. */
  readonly goesOn: boolean;
  /** PostgreSQL may crash between a kill and the next start, and staging is lost. */
  readonly losesDatabase: boolean;
  /** The events that resumed runs ask for again are counted and bounded. */
  readonly isMeasured: boolean;
}

const EVENTS_OF_LATER_RUN = 2_000;
const KILLS_OF_LATER_RUN = 2;

type Endpoint = 'stream' | 'events';

/** The settings that may change between the starts of a run. */
interface Speed {
  readonly pageSize: number;
  readonly concurrency: number;
  readonly connections: number;
  readonly threads: number;
  readonly mergeSeconds: number;
}

export interface RoundResult {
  readonly kills: number;
  /** Kills during a merge. */
  readonly killsInMerge: number;
  readonly rows: number;
  readonly requests: number;
  /**
   * Events that the starts after a kill asked for again, and the bound for them. `null` where there is no bound: the source
   * doubles events, breaks pages, or can only be walked from the top.
   */
  readonly again: { readonly events: number; readonly allowed: number } | null;
}

/** Draws the settings of a round: all those that decide how a walk is resumed. */
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
    // A start takes a second or two, and a cursor of one second is dead by then: only for the endpoint with time bounds.
    cursorTtl: endpoint === 'stream' ? draws.pick([116, 116, 1]) : 116,
    staleAs: draws.pick(['400', '410']),
    latency: draws.pick([60, 120]),
    latencyJitter: draws.pick([0, 150]),
    faults: draws.chance(0.3) ? { 'reset-body': 0.02, '500-json': 0.02 } : {},
    // Only the total reveals lost events, so the source must have one. Then a run walks again, and is killed there too.
    ...(shape === 'live' && draws.chance(0.3) ? { faultPlan: lostEvents(endpoint, draws) } : {}),
  };
  const round: Round = {
    seed,
    // Without windows, a walk with a dead cursor begins at the top: with a cursor of one second it would never end.
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
 * The same round without anything that makes a run ask for events again even when nobody kills it. (Where `since` is
 * ignored beside a cursor, each window's last pages reach into the window below.)
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
    scene.simulator.addEvents(EVENTS_OF_LATER_RUN);
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

  /** Starts a run, and kills and restarts its ingester until the run is complete. */
  async untilComplete(mostKills: number): Promise<void> {
    let ingester = this.#start();
    for (let kills = 0; kills < mostKills; kills += 1) {
      // The first kill is at a moment that certainly comes: a round without a kill would show nothing.
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
    this.#countServedAgain();
  }

  async result(): Promise<RoundResult> {
    const rows = await this.#scene.assertExact().catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.#ingester === null ? '' : lastLines(this.#ingester)}`);
    });
    // The bound is for all starts together: what one start had no time to ask for again, a later one asks for.
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
    this.#countServedAgain();
    const atMs = Date.now();
    this.#resumed = { atMs, served: ranksServed(simulator, atMs) };
    const inFlightEvents = (this.#speed.concurrency + this.#speed.connections) * this.#speed.pageSize;
    const windows = await openWindows(this.#scene);
    if (this.#round.losesDatabase && this.#draws.chance(0.5)) await this.#scene.database.cluster.restart('immediate');
    if (this.#round.hasNews && this.#draws.chance(0.5)) simulator.addEvents(this.#draws.int(1, 50));
    const next = this.#start();
    // One page for each window, and one for the look for newer events.
    if (this.#again !== null) this.#again.allowed += inFlightEvents + (windows + 1) * this.#speed.pageSize;
    return next;
  }

  #countServedAgain(): void {
    if (this.#again === null || this.#resumed === null) return;
    const { atMs, served } = this.#resumed;
    this.#resumed = null;
    this.#again.events += servedAgain(this.#scene.simulator, atMs, served).events;
  }
}

/** @returns how many windows the next start goes on with; 0 while there are no tables */
async function openWindows(scene: CrashScene): Promise<number> {
  const tables = await scene.database.number(`SELECT count(*) FROM pg_class WHERE relname = 'state'`);
  return tables === 0 ? 0 : scene.database.number('SELECT count(*) FROM ingestion.state WHERE NOT complete');
}

/** Waits for the moment to kill. @returns true during a merge */
async function untilMoment(
  scene: CrashScene,
  ingester: Program,
  kind: 'any' | 'pages' | 'merge',
  draws: Draws,
): Promise<boolean> {
  const pages = draws.int(1, scene.pagesServed === 0 ? 6 : 40);
  const waitMs = draws.int(0, kind === 'any' ? 3_000 : 150);
  const served = scene.pagesServed;
  const reached = async (): Promise<boolean> => {
    if (ingester.ended !== null || kind === 'any') return true;
    return kind === 'pages' ? scene.pagesServed >= served + pages : scene.isMerging();
  };
  await scene.until(`the moment to kill (${kind})`, reached, null);
  if (kind === 'merge') return ingester.ended === null;
  await delay(waitMs);
  return scene.isMerging();
}

export function describeRound({ seed, ...round }: Round): string {
  return `CRASH_SEED=${seed}: ${JSON.stringify(round)}`;
}
