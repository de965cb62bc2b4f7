/**
 * What Prometheus and Grafana are given, against real runs: a real Prometheus reads our configuration, scrapes a job that is over and
 * one that follows, and answers each question of the dashboard and each alert of operations.md. Grafana is not run: the dashboard's JSON is held by its schema alone.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { testDatabase } from '../support/database.ts';
import { PROJECT_FOLDER, startMain, startProgram } from '../support/processes.ts';
import { KEY, simulatorFor } from '../support/simulator-client.ts';

const PROMETHEUS = '/usr/bin/prometheus';
const SKIP = existsSync(PROMETHEUS) ? false : `${PROMETHEUS} is not installed`;
const CONFIG = 'docker/prometheus/prometheus.yml';
const SCRAPES = 3;
const MAX_POLLS = 150;
const POLL_MS = 200;
/** What a run without a wait, or whose requests were all answered, has no series of. */
const MAY_BE_EMPTY = ['datasync_waiting{job=~"$job"}'];

const source = z.looseObject({ type: z.literal('prometheus'), uid: z.literal('${datasource}') });
const panel = z.looseObject({
  id: z.int(),
  title: z.string().min(1),
  type: z.enum(['gauge', 'stat', 'timeseries', 'bargauge']),
  datasource: source,
  gridPos: z.strictObject({ x: z.int().min(0), y: z.int().min(0), w: z.int().min(1), h: z.int().min(1) }),
  fieldConfig: z.looseObject({ defaults: z.looseObject({}), overrides: z.array(z.looseObject({})) }),
  options: z.looseObject({}),
  targets: z.array(z.looseObject({ refId: z.string().min(1), datasource: source, expr: z.string().min(1) })).min(1),
});
const dashboard = z.looseObject({
  title: z.string().min(1),
  uid: z.string().min(1).max(40),
  schemaVersion: z.int(),
  refresh: z.string(),
  time: z.strictObject({ from: z.string(), to: z.string() }),
  templating: z.strictObject({ list: z.array(z.looseObject({ name: z.string(), type: z.string() })) }),
  panels: z.array(panel).min(1),
});
const scrapeConfig = z.looseObject({
  global: z.looseObject({}),
  scrape_configs: z.array(z.looseObject({ static_configs: z.array(z.looseObject({ targets: z.array(z.string()) })) })),
});
const answers = z.object({ status: z.literal('success'), data: z.looseObject({ result: z.array(z.unknown()) }) });

const read = (path: string): Promise<string> => readFile(join(PROJECT_FOLDER, path), 'utf8');
const readDashboard = async () => dashboard.parse(JSON.parse(await read('docs/grafana-dashboard.json')));

test('the dashboard is what Grafana takes by its schema: panels with ids of their own, beside each other, in 24 columns', async () => {
  const { panels, templating } = await readDashboard();
  assert.deepEqual(templating.list.map(({ name }) => name).sort(), ['datasource', 'job']);
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  for (const { title, targets } of panels) {
    assert.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length, title);
  }
  for (const [index, { title, gridPos: one }] of panels.entries()) {
    assert.ok(one.x + one.w <= 24, title);
    for (const { title: next, gridPos: other } of panels.slice(index + 1)) {
      const apart =
        one.x + one.w <= other.x ||
        other.x + other.w <= one.x ||
        one.y + one.h <= other.y ||
        other.y + other.h <= one.y;
      assert.ok(apart, `${title} lies over ${next}`);
    }
  }
});

describe('with a real Prometheus', { skip: SKIP }, () => {
  it('promtool takes the configuration, the dashboard has an answer to each of its questions, and no alert of a job that is well', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'datasync-prometheus-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    promtool(['check', 'config', CONFIG]);
    const questions = (await readDashboard()).panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    const alerts = [...(await read('docs/operations.md')).matchAll(/^\| `(.*datasync_.*)` +\| .* \|$/gm)].map(
      ([, expr = '']) => expr,
    );
    assert.equal(alerts.length, 6);
    const rules = [...questions, ...alerts].map((expr, index) => ({ record: `question:${index}`, expr: asked(expr) }));
    await writeFile(join(folder, 'rules.yml'), stringify({ groups: [{ name: 'dashboard', rules }] }));
    promtool(['check', 'rules', join(folder, 'rules.yml')]);

    const ask = await prometheusOf(t, folder, [await completeRun(t), await followingRun(t)]);
    const empty: string[] = [];
    for (const expr of questions) if ((await ask(asked(expr))).length === 0) empty.push(expr);
    assert.deepEqual(
      empty.filter((expr) => !MAY_BE_EMPTY.includes(expr)),
      [],
    );
    for (const expr of alerts) {
      // What passes within five minutes is no alert: the next look may not have been scraped yet.
      let firing = await ask(expr);
      for (let poll = 0; firing.length > 0 && poll < MAX_POLLS; poll += 1) {
        await delay(POLL_MS);
        firing = await ask(expr);
      }
      assert.deepEqual(firing, [], expr);
    }
  });
});

/** As Grafana sends it. */
function asked(expr: string): string {
  return expr.replaceAll('$job', '.*').replaceAll('$__rate_interval', '1m');
}

function promtool(args: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync('promtool', args, { cwd: PROJECT_FOLDER, encoding: 'utf8' });
  assert.equal(status, 0, `${stdout}${stderr}`);
}

/** A run that is over and served, with something of everything. Returns the host and port of its page. */
async function completeRun(t: TestContext): Promise<string> {
  const options = { events: 3_000, key: KEY, badIds: 0.01, faults: { '503-json': 0.2 }, streamHeaders: true };
  const [database, simulator] = await Promise.all([testDatabase(t), simulatorFor(t, options)]);
  const program = startMain(t, ['--http-port', '0', '--stay', '--page-size', '100'], {
    env: { DATABASE_URL: database.url, API_BASE_URL: simulator.baseUrl, TARGET_API_KEY: KEY, LOG_FORMAT: 'json' },
  });
  const ended = await program.waitForLog(({ msg }) => msg === 'the job has ended; still serving until stopped');
  assert.equal(ended['exit_code'], 0);
  return new URL(String(ended['url'])).host;
}

/** A job that follows, after a round that took something. Returns the host and port of its page. */
async function followingRun(t: TestContext): Promise<string> {
  const options = { events: 500, arrivals: 1, newest: Date.now(), key: KEY };
  const [database, simulator] = await Promise.all([testDatabase(t), simulatorFor(t, options)]);
  const program = startMain(t, ['--http-port', '0', '--follow', '5s'], {
    env: { DATABASE_URL: database.url, API_BASE_URL: simulator.baseUrl, TARGET_API_KEY: KEY, LOG_FORMAT: 'json' },
  });
  const serving = await program.waitForLog(({ msg }) => msg === 'serving the live page, /metrics, /health and /ready');
  await program.waitForLog(({ msg }) => msg === 'new events were taken');
  return new URL(String(serving['url'])).host;
}

/** Starts Prometheus with our configuration, but for what it asks, and how often. Returns how to ask it, after a few scrapes. */
async function prometheusOf(
  t: TestContext,
  folder: string,
  targets: readonly string[],
): Promise<(expr: string) => Promise<unknown[]>> {
  const config = scrapeConfig.parse(parse(await read(CONFIG)));
  config.global['scrape_interval'] = '1s';
  for (const entry of config.scrape_configs.flatMap((job) => job.static_configs)) entry.targets = [...targets];
  const file = join(folder, 'prometheus.yml');
  await writeFile(file, stringify(config));
  const port = await freePort();
  const flags = [
    `--config.file=${file}`,
    `--storage.tsdb.path=${folder}/data`,
    `--web.listen-address=127.0.0.1:${port}`,
  ];
  // It dies with the test process, however that one ends.
  startProgram(t, ['setpriv', '--pdeathsig', 'KILL', PROMETHEUS, ...flags], { cwd: folder });
  const ask = async (expr: string): Promise<unknown[]> => {
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(expr)}`);
    return answers.parse(await answer.json()).data.result;
  };
  for (let poll = 0; poll < MAX_POLLS; poll += 1) {
    const scraped = await ask(`sum_over_time(up[1m]) >= ${SCRAPES}`).catch(() => []);
    if (scraped.length > 0) return ask;
    await delay(POLL_MS);
  }
  return assert.fail('Prometheus has not scraped the job');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
