/**
 * One round of crashing PostgreSQL at random moments: the server is stopped at once, one of its backends is killed, or it is
 * restarted cleanly. The ingester lives throughout and is never restarted.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { testCluster } from '../support/database.ts';
import type { Program } from '../support/processes.ts';
import { WITHOUT_WAL } from '../support/without-wal.ts';
import { APPLICATION_NAME, CrashScene, countLogs, hasLog } from './crash-scene.ts';
import type { Draws } from './draws.ts';

/**
 * - `immediate`: the server stops without writing anything down; staging is empty afterwards
 * - `backend-killed`: SIGKILL for one of the job's backends; the server recovers by itself, and staging is empty
 * - `server-killed`: SIGKILL for the server itself; staging is empty afterwards
 * - `restart`: a clean restart; staging survives
 * - `terminated`: the job's connections are ended; the server goes on
 */
export const CRASHES = ['immediate', 'backend-killed', 'server-killed', 'restart', 'terminated'] as const;
export type Crash = (typeof CRASHES)[number];

/** True when unlogged tables are empty afterwards. */
export function emptiesStaging(crash: Crash): boolean {
  return crash === 'immediate' || crash === 'backend-killed' || crash === 'server-killed';
}

/** Crashes the database. A server that has to be started again is away for `downMs`. */
export async function crashDatabase(scene: CrashScene, crash: Crash, downMs: number): Promise<void> {
  const { cluster } = scene.database;
  switch (crash) {
    case 'immediate':
    case 'server-killed':
    case 'restart':
      if (crash === 'server-killed') await cluster.killServer();
      else await cluster.stop(crash === 'immediate' ? 'immediate' : 'fast');
      await delay(downMs);
      await cluster.start();
      break;
    case 'backend-killed': {
      const pid = await backendToKill(scene);
      cluster.killBackend(pid);
      await untilRecovered(scene, pid);
      break;
    }
    case 'terminated':
      await scene.database.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE $2`,
        [scene.database.name, `${APPLICATION_NAME}%`],
      );
  }
}

/** A busy one if possible, because the test is about work that a kill interrupts. */
async function backendToKill(scene: CrashScene): Promise<number> {
  const { rows } = await scene.database.query<{ pid: number }>(
    `SELECT pid FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE $2
      ORDER BY state = 'idle', application_name LIKE '% merge' DESC, random() LIMIT 1`,
    [scene.database.name, `${APPLICATION_NAME}%`],
  );
  return rows[0]?.pid ?? assert.fail('the job has no backend to kill');
}

/** Waits until the server answers without the killed backend: then it has recovered. */
async function untilRecovered(scene: CrashScene, pid: number): Promise<void> {
  await scene.until(
    'the server to recover',
    async () => {
      try {
        return (await scene.database.number(`SELECT count(*) FROM pg_stat_activity WHERE pid = ${pid}`)) === 0;
      } catch {
        return false;
      }
    },
    null,
  );
}

export interface CrashRoundResult {
  readonly crashes: Crash[];
  readonly stagingLost: number;
  readonly outages: number;
  readonly rows: number;
  readonly requests: number;
}

/** Crashes the database at most `most` times; then the ingester must complete the table by itself. */
export async function playCrashRound(t: TestContext, draws: Draws, most: number): Promise<CrashRoundResult> {
  const cluster = await testCluster(t, { settings: draws.pick([{}, WITHOUT_WAL]) });
  const scene = await CrashScene.open(t, {
    cluster,
    events: 12_000,
    seed: draws.int(1, 1e6),
    shape: draws.pick(['live', 'docs']),
    badIds: draws.pick([0, 0.01]),
    cursorTtl: draws.pick([116, 2]),
    latency: 100,
    latencyJitter: 100,
    flags: [
      ...['--endpoint', 'stream', '--page-size', draws.pick(['100', '200'])],
      ...['--concurrency', draws.pick(['1', '3', '8']), '--on-conflict', draws.pick(['ignore', 'update'])],
    ],
  });
  const ingester = scene.start();
  const crashes: Crash[] = [];
  for (const wanted = draws.int(1, most); crashes.length < wanted;) {
    await scene.until('work', () => Promise.resolve(isAtWork(ingester)), null);
    await delay(draws.int(0, 2_500));
    if (draws.chance(0.4)) await untilMerging(scene, ingester);
    if (ingester.ended !== null || countLogs(ingester, /^ingestion complete/) > 0) break;
    const crash = draws.pick(CRASHES);
    crashes.push(crash);
    await crashDatabase(scene, crash, draws.int(0, 1_500));
  }
  const rows = await scene.expectComplete(ingester).catch((error: unknown) => {
    throw new Error(`after ${crashes.join()}: ${String(error)}`);
  });
  return {
    crashes,
    stagingLost: countLogs(ingester, /emptied the staging tables/),
    outages: countLogs(ingester, /^database is away/),
    rows,
    requests: scene.simulator.stats().requestsTotal,
  };
}

function isAtWork(ingester: Program): boolean {
  return ingester.ended !== null || ingester.logs.some(hasLog(/^(run started|going on)/));
}

/** Waits for a merge, for one merge interval at most: merges are short. */
async function untilMerging(scene: CrashScene, ingester: Program): Promise<void> {
  const deadlineMs = Date.now() + 1_500;
  await scene.until(
    'a merge',
    async () => Date.now() > deadlineMs || ingester.ended !== null || (await scene.isMerging()),
    null,
  );
}
