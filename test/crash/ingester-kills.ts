/**
 * One round of killing: a run with settings of its own, its ingester killed with SIGKILL at random moments and started again,
 * until it is complete. Everything random comes from the round's seed.
 */
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { StartOptions } from '../../src/simulator/simulator.ts';
import type { Program } from '../support/processes.ts';
import { CrashScene, lastLines } from './crash-scene.ts';
import { Draws } from './draws.ts';

export interface Round {
  readonly seed: number;
  readonly source: StartOptions;
  readonly flags: readonly string[];
  readonly npm: boolean;
}

export interface RoundResult {
  readonly kills: number;
  /** Kills that met a merge under way. */
  readonly killsInMerge: number;
  readonly starts: number;
  readonly rows: number;
  readonly requests: number;
}

/** The settings of a round: every kind that decides how a walk is resumed. */
export function drawRound(seed: number, events: number): Round {
  const draws = new Draws(seed);
  const endpoint = draws.pick(['stream', 'stream', 'events']);
  const pageSize = draws.pick([97, 200, 500]);
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
    flags: [
      ...['--endpoint', endpoint, '--page-size', String(pageSize)],
      ...['--concurrency', String(draws.pick([1, 3, 8])), '--connections', String(draws.pick([1, 4]))],
      ...['--on-conflict', draws.pick(['ignore', 'update'])],
    ],
    npm: draws.chance(0.3),
  };
}

/**
 * Plays the round and compares the table with the source.
 * @throws with the seed and the last lines of the ingester
 */
export async function playRound(t: TestContext, round: Round, limits: { kills: number }): Promise<RoundResult> {
  const draws = new Draws(round.seed ^ 0x5eed);
  const scene = await CrashScene.open(t, { ...round.source, flags: round.flags });
  let kills = 0;
  let killsInMerge = 0;
  let starts = 0;
  const start = (): Program => {
    starts += 1;
    return scene.start({ npm: round.npm });
  };
  let ingester = start();
  while (kills < limits.kills) {
    // The first one at a moment that comes for certain: a round without a kill would show nothing.
    const kind = kills === 0 ? 'pages' : draws.pick(['any', 'pages', 'pages', 'merge', 'merge']);
    const merging = await untilMoment(scene, ingester, kind, draws);
    if (ingester.ended !== null) break;
    ingester.killGroup('SIGKILL');
    await ingester.waitForExit();
    kills += 1;
    if (merging) killsInMerge += 1;
    // What is new while nobody looks must be found by the same run.
    if (draws.chance(0.2)) scene.simulator.addEvents(draws.int(1, 50));
    ingester = start();
  }
  await scene.expectExit(ingester, 0).catch((error: unknown) => {
    throw new Error(`${describeRound(round)}\n${String(error)}`);
  });
  const { rows } = await scene.assertExact().catch((error: unknown) => {
    throw new Error(`${describeRound(round)}\n${String(error)}\n${lastLines(ingester)}`);
  });
  return { kills, killsInMerge, starts, rows, requests: scene.simulator.stats().requestsTotal };
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

export function describeRound({ seed, source, flags, npm }: Round): string {
  return `CRASH_SEED=${seed}: ${npm ? 'npm start' : 'node'} ${flags.join(' ')}; ${JSON.stringify(source)}`;
}
