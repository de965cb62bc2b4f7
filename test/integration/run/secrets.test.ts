/** Key, tokens and password of a whole job stay secret: with an API that echoes what it was sent, at log level trace. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { z } from 'zod';
import { testDatabase, type TestDatabase } from '../../support/database.ts';
import { gatewayTo, type GatewayOptions } from '../../support/gateway.ts';
import { startMain } from '../../support/processes.ts';
import { simulatorFor } from '../../support/simulator-client.ts';

const KEY = 'ds_whole_job_key_0123456789abcdef';
const TOKEN_HEADER = /token/i;

interface EchoingApi {
  readonly baseUrl: string;
  /** Every token that a request carried. */
  readonly tokens: Set<string>;
}

/** The simulator behind a gateway that echoes some requests in faulty answers, or refuses all of them with an echo. */
async function echoingApi(t: TestContext, upstream: string, { refuses = false } = {}): Promise<EchoingApi> {
  const tokens = new Set<string>();
  let served = 0;
  const answers: GatewayOptions['answers'] = (req, res) => {
    for (const [name, value] of Object.entries(req.headers)) {
      if (TOKEN_HEADER.test(name) && typeof value === 'string') tokens.add(value);
    }
    served += 1;
    const echo = JSON.stringify({ code: 'ECHO', error: req.rawHeaders.join(' '), message: req.rawHeaders });
    if (refuses) res.writeHead(401, { 'content-type': 'application/json', 'x-request-id': KEY }).end(echo);
    else if (served % 7 === 3)
      res.writeHead(500, { 'content-type': 'application/json', 'x-request-id': KEY }).end(echo);
    else if (served % 7 === 4) res.writeHead(200, { 'content-type': 'text/html' }).end(`<html>${echo}</html>`);
    else return false;
    return true;
  };
  return { baseUrl: await gatewayTo(t, upstream, { answers }), tokens };
}

/** @returns every row of every table that the job made, as text */
async function everythingIn(database: TestDatabase): Promise<string> {
  const tables = await database.query<{ name: string }>(
    `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname IN ('public', 'ingestion')`,
  );
  let text = '';
  for (const { name } of tables.rows) {
    const { rows } = await database.query<{ rows: string | null }>(
      `SELECT string_agg(x::text, E'\\n') AS rows FROM ${name} x`,
    );
    text += `${name}\n${rows[0]?.rows ?? ''}\n`;
  }
  return text;
}

async function firstOf(url: string): Promise<string> {
  const response = await fetch(url);
  const reader = response.body?.getReader();
  const first = await reader?.read();
  await reader?.cancel();
  return Buffer.from(first?.value ?? []).toString();
}

test('key, tokens and password appear nowhere: not in logs, database, page, metrics or health', async (t) => {
  const simulator = await simulatorFor(t, { events: 8_000, key: KEY, badIds: 0.01 });
  const api = await echoingApi(t, simulator.baseUrl);
  const database = await testDatabase(t);
  const { password } = new URL(database.url);
  const job = startMain(t, ['--http-port', '0', '--stay', '--page-size', '1000'], {
    env: {
      API_BASE_URL: api.baseUrl,
      TARGET_API_KEY: KEY,
      DATABASE_URL: database.url,
      LOG_FORMAT: 'json',
      LOG_LEVEL: 'trace',
    },
  });
  const url = z
    .string()
    .parse((await job.waitForLog(({ msg }) => msg === 'serving the live page, /metrics, /health and /ready'))['url']);
  assert.equal(
    (await job.waitForLog(({ msg, level }) => msg === 'ingestion complete' || level === 'error'))['msg'],
    'ingestion complete',
  );
  assert.ok(job.stdout.includes('ECHO'), 'answers were quoted');
  const said = [job.stdout, job.stderr, await everythingIn(database)];
  for (const path of ['/', '/metrics', '/health', '/ready']) said.push(await (await fetch(new URL(path, url))).text());
  said.push(await firstOf(new URL('/events', url).href));
  assert.ok(api.tokens.size > 0 && password !== '', 'there was something to find');
  for (const secret of [KEY, password, ...api.tokens, encodeURIComponent(KEY)]) {
    for (const text of said) assert.ok(!text.includes(secret), `${secret} in: ${text.slice(0, 200)}`);
  }
  job.kill('SIGTERM');
  assert.equal((await job.waitForExit()).code, 0);
});

test('key and password do not appear when an answer refuses the key and quotes it', async (t) => {
  const simulator = await simulatorFor(t, { events: 10, key: KEY });
  const api = await echoingApi(t, simulator.baseUrl, { refuses: true });
  const database = await testDatabase(t);
  const { password } = new URL(database.url);
  const job = startMain(t, [], {
    env: {
      API_BASE_URL: api.baseUrl,
      TARGET_API_KEY: KEY,
      DATABASE_URL: database.url,
      LOG_LEVEL: 'trace',
    },
  });
  assert.equal((await job.waitForExit()).code, 3);
  for (const secret of [KEY, password]) assert.ok(!`${job.stdout}${job.stderr}`.includes(secret), secret);
});
