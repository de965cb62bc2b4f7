/** The live page of a job that follows, in a real browser. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { NOT_FOLLOWED_YET } from '../../../src/core/job-snapshot.ts';
import { snapshotOf, windowOf } from '../../unit/watch/job-feed.ts';
import { openPage, serve, skip } from './live-page-browser.ts';

it('has a quiet view of a job that follows: how far it is behind, and no figures of a walk', { skip }, async (t) => {
  const nowMs = Date.now();
  const away = { sinceMs: nowMs - 600_000, reason: 'the newest page was not served' };
  const followed = { ...NOT_FOLLOWED_YET, newestEventMs: nowMs - 7_380_000, looks: 40, takenEvents: 12 };
  const round = { phase: 'following' as const, follow: followed, windows: [windowOf(1, { complete: true })] };
  let snapshot = snapshotOf({ ...round, follow: { ...followed, takenEvents: 0 } });
  const { url } = await serve(t, () => snapshot);
  const { value, waitForValue, page, assertClean } = await openPage(t, url);
  snapshot = snapshotOf({ ...round, follow: { ...followed, away } });
  await waitForValue('state', /^Following; waiting since .*: the newest page was not served/);
  assert.match(await value('percent'), /^2 h 03 min behind$/);
  assert.match(await value('waiting'), /^the API or the database, for 10 min/);
  assert.match(await value('lag-text'), /^At most 2 h 03 min in the last \d+ s\.$/);
  await waitForValue('new-events-text', /^12 new events in the last/);
  for (const id of ['throughput-chart', 'windows-chart']) assert.equal(await page.locator(`#${id}`).isVisible(), false);
  for (const id of ['lag-chart', 'new-events-chart']) {
    const box = await page.locator(`#${id} canvas`).boundingBox();
    assert.ok((box?.width ?? 0) > 300, JSON.stringify(box));
  }
  for (const width of [360, 700, 1280]) {
    await page.setViewportSize({ width, height: 740 });
    const boxes = await Promise.all(
      (await page.locator('#follow dd:visible, .hero dd:visible').all()).map((one) => one.boundingBox()),
    );
    assert.ok(
      boxes.every((box) => (box?.width ?? 0) > 60 && (box?.height ?? 999) < 90),
      JSON.stringify({ width, boxes }),
    );
  }
  // A proof that walks everything has several windows.
  snapshot = snapshotOf({ ...round, phase: 'loading', windows: [windowOf(1), windowOf(2)] });
  await page.locator('#throughput-chart').waitFor();
  assertClean();
});
