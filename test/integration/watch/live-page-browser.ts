/** The live page of a job that the test moves, and a real headless Chromium that looks at it, and remembers everything that was wrong. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, type TestContext } from 'node:test';
import { pino } from 'pino';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import type { JobSnapshot } from '../../../src/core/job-snapshot.ts';
import { startHttpServer, type RunningHttpServer } from '../../../src/watch/http-server.ts';
import { createMetrics } from '../../../src/watch/metrics/metrics.ts';
import { RecentWork } from '../../../src/watch/metrics/recent-work.ts';

const logger = pino({ level: 'silent' });
const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const executablePath = PLACES.find((place) => existsSync(place));

/** For node:test: why these tests cannot run here, else `false`. */
export const skip =
  executablePath === undefined ? `there is no Chromium in ${PLACES.join(', ')}: apt-get install chromium` : false;

let shared: Promise<Browser> | null = null;

after(async () => {
  await (await shared)?.close();
});

/** The browser of this process. */
export function openBrowser(): Promise<Browser> {
  // Without its sandbox, which neither root nor most containers can have; it sees nothing but our own page.
  return (shared ??= chromium.launch({
    ...(executablePath === undefined ? {} : { executablePath }),
    args: ['--no-sandbox'],
  }));
}

/** Serves the page until the test has ended. */
export async function serve(t: TestContext, snapshot: () => JobSnapshot, port = 0): Promise<RunningHttpServer> {
  const metrics = createMetrics(snapshot);
  const work = new RecentWork();
  const { pageRequest } = work.observing({});
  for (const seconds of [0.1, 0.2, 0.3]) pageRequest(seconds, 'stream', 200);
  const server = await startHttpServer({
    host: '127.0.0.1',
    port,
    snapshot,
    metrics,
    work,
    stallAfterMs: 3_600_000,
    logger,
  });
  let isClosed = false;
  const close = async () => {
    if (isClosed) return;
    isClosed = true;
    await server.close();
    metrics.close();
  };
  t.after(close);
  return { url: server.url, close };
}

export interface WatchedPage {
  readonly page: Page;
  /** The text of `data-value="name"`. */
  readonly value: (name: string) => Promise<string>;
  /** Waits until the value has this text. */
  readonly waitForValue: (name: string, text: string | RegExp) => Promise<void>;
  /** Fails when there was an error on the console, or a request to another place. */
  readonly assertClean: () => void;
}

/** Opens the page and waits for its first figures. */
export async function openPage(t: TestContext, url: string, options: BrowserContextOptions = {}): Promise<WatchedPage> {
  const browser = await openBrowser();
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  const problems: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text());
  });
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('request', (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== url && protocol !== 'data:') problems.push(`asked for ${request.url()}`);
  });
  await page.goto(url);
  const value = async (name: string) => (await page.locator(`[data-value="${name}"]`).first().textContent()) ?? '';
  const waitForValue = (name: string, text: string | RegExp) =>
    page.locator(`[data-value="${name}"]`).first().filter({ hasText: text }).waitFor();
  await page.locator('#connection[data-state="live"]').waitFor();
  return {
    page,
    value,
    waitForValue,
    assertClean: () => {
      assert.deepEqual(problems, []);
    },
  };
}

/** WCAG 2 contrast of two colours written as #rrggbb. */
export function contrast(a: string, b: string): number {
  const luminance = (colour: string) => {
    const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
      const share = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [dark = 0, light = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}
