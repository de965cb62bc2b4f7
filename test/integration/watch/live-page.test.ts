/** The live page in a real browser: first of a job that the test moves, then of a real job with its database. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Page } from 'playwright-core';
import type { JobSnapshot } from '../../../src/core/job-snapshot.ts';
import { startSimulator } from '../../../src/simulator/simulator.ts';
import { whole } from '../../../src/watch/page/texts.js';
import { testDatabase } from '../../support/database.ts';
import { jobFor } from '../../support/ingestion.ts';
import { snapshotOf, windowOf } from '../../unit/watch/job-feed.ts';
import { MovingJob } from '../../unit/watch/moving-job.ts';
import { parseScrape, valueOf } from '../../unit/watch/scrape.ts';
import { contrast, openPage, serve, skip } from './live-page-browser.ts';

const hour = (hours: number) => Date.UTC(2026, 0, 1) + hours * 3_600_000;

type Span = readonly [from: number, to: number];

/** Where the strip has each window, newest first: percent of the axis from the left, whole ones. */
async function drawnOf(page: Page): Promise<Record<'open' | 'walked' | 'safe', Span>[]> {
  await page.locator('#windows-chart g.window').first().waitFor({ state: 'attached' });
  return page.evaluate(`(() => {
    const width = document.querySelector('#windows-chart').clientWidth;
    const groups = [...document.querySelectorAll('#windows-chart g.window')];
    const strip = groups.filter((group) => group.querySelector('.open').style.y === '0px');
    return strip.map((group) => Object.fromEntries(['open', 'walked', 'safe'].map((name) => {
      const { x, width: length } = group.querySelector('.' + name).style;
      const from = parseFloat(x);
      return [name, [from, from + parseFloat(length)].map((px) => Math.round((px / width) * 100))];
    })));
  })()`);
}

function movingJob(seconds: number): MovingJob {
  const options = { totalEvents: 1_000_000, eventsPerSecond: 10_000 };
  const job = new MovingJob({ ...options, startedAtMs: Date.now() - seconds * 1000 });
  for (let second = 0; second < seconds; second += 1) job.advance(1);
  return job;
}

// Most of a test is waiting for the next frame.
describe('the live page', { skip, concurrency: 4 }, () => {
  it('shows how far the job is, and follows it', async (t) => {
    const job = movingJob(20);
    const { url } = await serve(t, () => job.snapshot());
    const { value, waitForValue, assertClean, page } = await openPage(t, url);
    assert.equal(await value('percent'), '20.0 %');
    assert.equal(await value('events'), '200,000 of 1,000,000');
    assert.equal(await value('state'), 'Loading');
    assert.equal(await value('served'), '150,000');
    assert.equal(await value('staged'), '50,000');
    assert.equal(await value('balance'), '✓ The counts balance.');
    assert.match(await value('latency-text'), /half of the requests took less than 200 ms, 95 % less than 300 ms/);
    assert.equal(await page.getByRole('progressbar').getAttribute('aria-valuenow'), '20.0');
    job.advance(5);
    await waitForValue('percent', '25.0 %');
    assert.match(await page.title(), /^25\.0 % · /);
    job.advance(7);
    await waitForValue('waiting', /^rate limit/);
    assertClean();
  });

  it('draws every window, in a strip and in a lane of its own, and the new one when one splits', async (t) => {
    const job = movingJob(1);
    const { url } = await serve(t, () => job.snapshot());
    const { page, waitForValue, assertClean } = await openPage(t, url);
    const before = job.snapshot().windows.length;
    await waitForValue('windows-text', new RegExp(`^${before} windows?, 0 complete`));
    assert.equal(await page.locator('#windows-chart g.window').count(), 2 * before);
    for (let second = 0; second < 93; second += 1) job.advance(1);
    const { windows } = job.snapshot();
    assert.ok(windows.length > before);
    const complete = windows.filter((window) => window.complete).length;
    assert.ok(complete > 0);
    await waitForValue('windows-text', new RegExp(`^${windows.length} windows, ${complete} complete`));
    assert.equal(await page.locator('#windows-chart g.window').count(), 2 * windows.length);
    await page.getByText('Windows as a table').click();
    assert.equal(await page.locator('#windows-table tr').count(), windows.length);
    assertClean();
  });

  it('fills a window as far as it is walked, solid as far as it is safe, from the newest event down', async (t) => {
    let window = windowOf(1, { sinceMs: hour(0), untilMs: hour(10), walkedToMs: hour(8), safeToMs: hour(9) });
    const { url } = await serve(t, () => snapshotOf({ newestEventMs: hour(10), windows: [window] }));
    const { page, waitForValue, assertClean } = await openPage(t, url);
    assert.deepEqual(await drawnOf(page), [{ open: [0, 100], walked: [80, 100], safe: [90, 100] }]);
    window = { ...window, walkedToMs: hour(0), safeToMs: hour(5), complete: true };
    await waitForValue('windows-text', /1 complete/);
    assert.deepEqual(await drawnOf(page), [{ open: [0, 100], walked: [0, 100], safe: [50, 100] }]);
    assertClean();
  });

  it('draws an incremental run from where the last one ended to the newest event, however long ago that is', async (t) => {
    const snapshot = { newestEventMs: hour(10), windows: [windowOf(1, { sinceMs: hour(0), walkedToMs: hour(5) })] };
    const { url } = await serve(t, () => snapshotOf(snapshot));
    const { page, value } = await openPage(t, url);
    assert.deepEqual(await drawnOf(page), [{ open: [0, 100], walked: [50, 100], safe: [100, 100] }]);
    assert.match(
      await value('windows-text'),
      /50\.0 % of the time from 2026-01-01 00:00:00 to 2026-01-01 10:00:00 UTC/,
    );
  });

  it('draws a catch-up after the walk it follows, which does not grow with it', async (t) => {
    const done = { pages: 9, complete: true };
    const windows = [
      windowOf(1, { ...done, sinceMs: hour(4), walkedToMs: hour(4), safeToMs: hour(4) }),
      windowOf(2, {
        ...done,
        sinceMs: hour(0),
        untilMs: hour(4),
        walkedToMs: hour(0),
        safeToMs: hour(0),
        splitFrom: 1,
      }),
      windowOf(3, { sinceMs: hour(9), walkedToMs: hour(9.5) }),
      windowOf(4, { sinceMs: hour(8), untilMs: hour(9), walkedToMs: hour(9), splitFrom: 3 }),
    ];
    const { url } = await serve(t, () => snapshotOf({ pass: 2, newestEventMs: hour(10), windows }));
    const { page, value } = await openPage(t, url);
    assert.deepEqual(await drawnOf(page), [
      { open: [90, 100], walked: [95, 100], safe: [100, 100] },
      { open: [80, 90], walked: [90, 90], safe: [90, 90] },
      { open: [40, 80], walked: [40, 80], safe: [40, 80] },
      { open: [0, 40], walked: [0, 40], safe: [0, 40] },
    ]);
    assert.match(await value('windows-text'), /^4 windows, 2 complete, 2 split off another; 85\.0 % of the time/);
  });

  it('draws lines and bars: pixels that are not paper', async (t) => {
    const job = movingJob(40);
    const { url } = await serve(t, () => job.snapshot());
    const { page, assertClean } = await openPage(t, url);
    for (const id of ['throughput-chart', 'latency-chart', 'merges-chart']) {
      // In the page's own words: tests have no types of a browser.
      await page.evaluate(`new Promise((resolve) => {
        const look = () => {
          const canvas = document.querySelector('#${id} canvas');
          const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          if (data.some((byte) => byte !== 0)) resolve();
          else requestAnimationFrame(look);
        };
        look();
      })`);
    }
    assertClean();
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`fits a phone of 360 pixels, ${colorScheme}, with enough contrast`, async (t) => {
      const job = movingJob(40);
      const { url } = await serve(t, () => job.snapshot());
      const { page, assertClean } = await openPage(t, url, { viewport: { width: 360, height: 740 }, colorScheme });
      assert.equal(await page.evaluate<number>('document.documentElement.scrollWidth'), 360);
      const colours = await page.evaluate<Record<string, string>>(
        `Object.fromEntries(['card', 'paper', 'ink', 'quiet', 'blue', 'orange', 'green', 'bad'].map((name) =>
          [name, getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim()]))`,
      );
      // WCAG AA: 4.5 for text.
      for (const ground of ['card', 'paper']) {
        for (const text of ['ink', 'quiet', 'blue', 'orange', 'green', 'bad']) {
          const ratio = contrast(colours[ground] ?? '', colours[text] ?? '');
          assert.ok(ratio >= 4.5, `${text} on ${ground}: ${ratio.toFixed(2)}`);
        }
      }
      assertClean();
    });
  }

  it('can be used with the keyboard alone', async (t) => {
    const job = movingJob(40);
    const { url } = await serve(t, () => job.snapshot());
    const { page } = await openPage(t, url);
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate<string>('document.activeElement.textContent'), 'Skip to the figures');
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate<string>('document.activeElement.textContent'), 'Windows as a table');
    await page.keyboard.press('Enter');
    await page.getByRole('region', { name: 'Table of windows' }).waitFor();
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate<string>('document.activeElement.className'), 'scroll');
  });

  it('works after the job has ended, its history included, and says how it ended', async (t) => {
    const job = movingJob(40);
    const { url } = await serve(t, () => job.snapshot());
    job.end(5, 'events are missing');
    const { value, page, assertClean } = await openPage(t, url);
    assert.equal(await value('state'), 'Ended with code 5: events are missing');
    assert.equal(await page.locator('#state').getAttribute('data-state'), 'failed');
    assert.equal(await page.locator('#connection').textContent(), 'Connected; the job has ended');
    assert.equal(await value('eta'), 'ended');
    assert.equal(await value('elapsed-name'), 'Ran for');
    assert.equal(await value('proof'), 'Proof of completeness: not yet, the run is not finished.');
    assertClean();
  });

  it('shows the card of a described source, and none where there is no description', async (t) => {
    let snapshot = snapshotOf();
    const { url } = await serve(t, () => snapshot);
    const { page, assertClean } = await openPage(t, url);
    const card = page.getByRole('region', { name: 'Card of the source' });
    assert.equal(await card.count(), 0);
    snapshot = snapshotOf({ card: { rows_exactly_once: 'yes', stale_cursor: 'from the top, paid twice' } });
    await card.waitFor();
    assert.deepEqual(await card.locator('dl > div').allInnerTexts(), [
      'rows exactly once\nyes',
      'stale cursor\nfrom the top, paid twice',
    ]);
    assertClean();
  });

  it('says by what a complete run is proven', async (t) => {
    const job = movingJob(40);
    job.end(0, 'complete');
    const { value } = await openPage(t, (await serve(t, () => job.snapshot())).url);
    assert.match(await value('proof'), /: by the API's count: \d+ places were served/);
  });

  it('says that the job is gone, keeps what it knew, and goes on with the next start', async (t) => {
    const first = movingJob(20);
    const server = await serve(t, () => first.snapshot());
    const { page, value, waitForValue } = await openPage(t, server.url);
    assert.equal(await value('percent'), '20.0 %');
    await server.close();
    await page.locator('#connection[data-state="lost"]').waitFor();
    assert.match(
      (await page.locator('#connection').textContent()) ?? '',
      /^Connection lost; trying again\. These figures are from /,
    );
    assert.equal(await value('percent'), '20.0 %');
    const second = movingJob(50);
    await serve(t, () => second.snapshot(), Number(new URL(server.url).port));
    await page.locator('#connection[data-state="live"]').waitFor();
    await waitForValue('events', whole(second.snapshot().copiedEvents));
  });

  it('agrees with the database and the metrics at the end of a real job', async (t) => {
    const simulator = await startSimulator({ port: 0, events: 5_000 });
    t.after(() => simulator.close());
    const database = await testDatabase(t);
    const { job, run } = jobFor({ baseUrl: simulator.baseUrl, databaseUrl: database.url });
    let ended: JobSnapshot['ended'] = null;
    const { url } = await serve(t, () => ({ ...job.snapshot(), ended }));
    const { value, waitForValue, page, assertClean } = await openPage(t, url);
    const { exitCode, error } = await run();
    assert.equal(exitCode, 0, error?.message);
    ended = { exitCode: 0, reason: 'complete', atMs: Date.now() };
    await waitForValue('percent', '100 %');
    const { rows } = await database.query<{ events: string }>('SELECT count(*) AS events FROM ingested_events');
    const events = Number(rows[0]?.events);
    assert.equal(events, 5_000);
    assert.equal(await value('inserted'), whole(events));
    assert.equal(await value('balance'), '✓ The counts balance.');
    assert.equal(await value('staged'), '0');
    assert.ok((await page.locator('#windows-chart g.window').count()) > 0);
    const scraped = parseScrape(await (await fetch(`${url}/metrics`)).text());
    assert.equal(valueOf(scraped, 'datasync_events_merged_total'), events);
    const { counts } = job.snapshot();
    for (const name of ['served', 'loaded', 'duplicates', 'rejected'] as const) {
      assert.equal(valueOf(scraped, `datasync_events_${name}_total`), counts[name], name);
      assert.equal(await value(name), whole(counts[name]), name);
    }
    assert.equal(valueOf(scraped, 'datasync_requests_total'), simulator.log().length);
    assertClean();
  });
});
