/**
 * `npm run screenshots`: pictures of the live page for the README, under docs/screenshots. A real job takes
 * simulated events from an API that is slow and now and then wrong, so that there is something to see.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium, type BrowserContextOptions } from 'playwright-core';
import { startSimulator } from '../src/simulator/simulator.ts';
import { PROJECT_FOLDER } from './documents.ts';

/** Far enough that windows have split and merges are done, and a good part is still to come. */
const SHOWN = /^[6-9]\d\./;
const MAX_BYTES = 200_000;
const PATIENCE_MS = 180_000;
const FOLDER = join(PROJECT_FOLDER, 'docs/screenshots');
const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

const DESKTOP = { width: 1000, height: 800 };
/** Beside the last card that is shown. */
const MARGIN_PX = 16;
const PICTURES: readonly { name: string; options: BrowserContextOptions }[] = [
  { name: 'light', options: { viewport: DESKTOP, colorScheme: 'light' } },
  { name: 'dark', options: { viewport: DESKTOP, colorScheme: 'dark' } },
  { name: 'phone', options: { viewport: { width: 360, height: 740 }, colorScheme: 'light', isMobile: true } },
];

const data = await mkdtemp(join(tmpdir(), 'datasync-screenshots-'));
const simulator = await startSimulator({
  port: 0,
  events: 1_500_000,
  latency: 900,
  nasty: 0.001,
  badIds: 0.0005,
  missingFields: 0.002,
  faults: { '429': 0.01, '500-json': 0.02, 'cut-body': 0.01 },
  latencyJitter: 600,
});
const job = spawn(process.execPath, ['--import', 'tsx', 'src/main.ts', '--http-port', '0', '--merge-interval', '5'], {
  cwd: PROJECT_FOLDER,
  env: {
    PATH: process.env['PATH'],
    HOME: process.env['HOME'],
    TARGET_API_KEY: 'demo',
    API_BASE_URL: simulator.baseUrl,
    DATA_DIR: data,
    LOG_FORMAT: 'json',
  },
  stdio: ['ignore', 'pipe', 'inherit'],
});
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
try {
  const url = await addressOf(job);
  await mkdir(FOLDER, { recursive: true });
  const pages = await Promise.all(
    PICTURES.map(async ({ name, options }) => {
      const page = await (await browser.newContext({ ...options, reducedMotion: 'reduce' })).newPage();
      await page.goto(url);
      return { name, page };
    }),
  );
  for (const { name, page } of pages) {
    await page.locator('[data-value="percent"]').first().filter({ hasText: SHOWN }).waitFor({ timeout: PATIENCE_MS });
    const path = join(FOLDER, `${name}.png`);
    // The README shows light or dark, as its reader has it: down to the windows, which is what fits beside text.
    const box = name === 'phone' ? null : await page.locator('section:has(#windows-chart)').boundingBox();
    const clip = box === null ? null : { x: 0, y: 0, width: DESKTOP.width, height: box.y + box.height + MARGIN_PX };
    await page.screenshot({ path, ...(clip !== null && { clip, fullPage: true }) });
    const { size } = await stat(path);
    process.stdout.write(`${path}: ${Math.round(size / 1000)} kB\n`);
    if (size > MAX_BYTES) throw new Error(`${path} has ${size} bytes, more than ${MAX_BYTES}`);
  }
} finally {
  await browser.close();
  if (job.exitCode === null) {
    job.kill('SIGTERM');
    await once(job, 'exit');
  }
  await simulator.close();
  await rm(data, { recursive: true, force: true });
}

/** What the job says in its log. @throws Error when it ends before */
async function addressOf({ stdout }: ChildProcess): Promise<string> {
  if (stdout === null) throw new Error('the job has no output to read');
  const lines = createInterface({ input: stdout });
  for await (const line of lines) {
    const url = /"url":"([^"]+)".*"msg":"serving the live page/.exec(line)?.[1];
    if (url !== undefined) {
      stdout.resume();
      return url;
    }
  }
  throw new Error('the job ended before it served its page');
}
