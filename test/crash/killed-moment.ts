/**
 * An ingester killed with SIGKILL at a named moment, its database session still in the middle of it when the next start
 * comes: that one must make the table complete and exact.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { CrashScene, countLogs, hasLog, lastLines } from './crash-scene.ts';
import { HeldMoment, SCENE_OF_MOMENT, type Moment } from './held-moment.ts';

const EVENTS = 3_000;

export async function killAtMoment(t: TestContext, moment: Moment, orphan: 'lives' | 'ends'): Promise<void> {
  const scene = await CrashScene.open(t, {
    events: EVENTS,
    latency: 20,
    flags: ['--page-size', '100', '--concurrency', '4', '--endpoint', 'stream'],
    ...SCENE_OF_MOMENT[moment],
  });
  const held = await HeldMoment.arrange(t, scene, moment);
  const ingester = scene.start();
  await held.reached(ingester);
  ingester.killGroup('SIGKILL');
  await ingester.waitForExit();
  if (orphan === 'ends') await held.release();
  const next = scene.start();
  // From here on it meets what the dead one left; what it waits for, if anything, ends when it may.
  await next.waitForLog(hasLog(/^endpoint chosen/));
  await held.release();
  await scene.expectExit(next, 0);
  await scene.assertExact().catch((error: unknown) => {
    throw new Error(`killed while ${moment}, its session ${orphan}: ${String(error)}\n${lastLines(next)}`);
  });
  assert.equal(countLogs(next, /^ingestion complete/), 1);
}
