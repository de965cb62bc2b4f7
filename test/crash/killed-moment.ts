/**
 * Kills an ingester with SIGKILL at a named moment. Its database session may still be in the middle of its statement when the
 * next ingester starts, which must make the table complete and exact.
 */
import type { TestContext } from 'node:test';
import { CrashScene } from './crash-scene.ts';
import { HeldMoment, SCENE_OF_MOMENT, type Moment } from './held-moment.ts';

const EVENTS = 3_000;

export async function killAtMoment(t: TestContext, moment: Moment, orphan: 'lives' | 'ends'): Promise<void> {
  const scene = await CrashScene.open(t, {
    events: EVENTS,
    latency: 20,
    flags: ['--page-size', '100', '--concurrency', '4', '--endpoint', 'stream'],
    ...SCENE_OF_MOMENT[moment],
  });
  const { held, ingester } = await HeldMoment.startAndReach(t, scene, moment);
  ingester.killGroup('SIGKILL');
  await ingester.waitForExit();
  if (orphan === 'ends') await held.release();
  const next = scene.startJob();
  // From here on it meets what the dead ingester left, and may have to wait for its session.
  await scene.untilLog(/^endpoint chosen/, next);
  await held.release();
  await scene.expectComplete(next);
}
