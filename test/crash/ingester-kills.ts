/**
 * One round of killing: a run with settings of its own, its ingester killed with SIGKILL at random moments and started again,
 * until it is complete. Everything random comes from the round's seed.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { StartOptions } from '../../src/simulator/simulator.ts';
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
}

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
    shape: doubled > 0 ? 'docs' : draws.pick(['live', 'docs']),
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
  };
  return {
    seed,
    // Without windows a dead cursor means walking from the top, which a cursor of a second cannot survive.
    source: source.windows === 'ignored' ? { ...source, cursorTtl: 116 } : source,
    endpoint,
    onConflict: draws.pick(['ignore', 'update']),
    hasNews: draws.chance(0.3),
    changesEndpoint: draws.chance(0.15),
  };
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

/** Whether a resume costs no more than the pages in flight, and one a window. */
function isCostBounded({ source, endpoint, hasNews, changesEndpoint }: Round): boolean {
  if (hasNews || changesEndpoint || source.doubled !== 0 || source.distribution === 'ties') return false;
  if (Object.keys(source.faults ?? {}).length > 0) return false;
  return endpoint === 'events' || source.windows === 'honoured';
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
  const draws = new Draws(round.seed ^ 0x5eed);
  const scene = await CrashScene.open(t, { ...round.source, flags: ['--on-conflict', round.onConflict] });
  let { endpoint } = round;
  let speed = drawSpeed(draws);
  let kills = 0;
  let killsInMerge = 0;
  let resumed: { readonly atMs: number; readonly served: Set<number>; readonly allowed: number } | null = null;
  const again = isCostBounded(round) ? { events: 0, allowed: 0 } : null;
  const start = (): Program => {
    if (kills > 0) speed = drawSpeed(draws);
    if (round.changesEndpoint && draws.chance(0.3)) endpoint = endpoint === 'stream' ? 'events' : 'stream';
    return scene.start({ npm: true, flags: ['--endpoint', endpoint, ...flagsFor(speed)] });
  };
  const settleResume = (): void => {
    if (again === null || resumed === null) return;
    const { events } = servedAgain(scene.simulator, resumed.atMs, resumed.served);
    assert.ok(events <= resumed.allowed, `a resume asked for ${events} events again, and may for ${resumed.allowed}`);
    again.events += events;
    again.allowed += resumed.allowed;
  };
  let ingester = start();
  while (kills < mostKills) {
    // The first one at a moment that comes for certain: a round without a kill would show nothing.
    const kind = kills === 0 ? 'pages' : draws.pick(['any', 'pages', 'pages', 'merge', 'merge']);
    const merging = await untilMoment(scene, ingester, kind, draws);
    if (ingester.ended !== null) break;
    ingester.killGroup('SIGKILL');
    await ingester.waitForExit();
    kills += 1;
    if (merging) killsInMerge += 1;
    settleResume();
    const atMs = Date.now();
    const served = ranksServed(scene.simulator, atMs);
    const inFlightEvents = (speed.concurrency + speed.connections) * speed.pageSize;
    const windows = await openWindows(scene);
    if (round.hasNews && draws.chance(0.5)) scene.simulator.addEvents(draws.int(1, 50));
    ingester = start();
    // One page a window, and one for the look at what is new.
    resumed = { atMs, served, allowed: inFlightEvents + (windows + 1) * speed.pageSize };
  }
  await scene.expectExit(ingester, 0);
  settleResume();
  const { rows } = await scene.assertExact().catch((error: unknown) => {
    throw new Error(`${String(error)}\n${lastLines(ingester)}`);
  });
  return { kills, killsInMerge, rows, requests: scene.simulator.stats().requestsTotal, again };
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
