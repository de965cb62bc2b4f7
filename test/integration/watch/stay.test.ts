/** `--stay`, as containers use it: the job is over, and its page, metrics and health are still there. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { z } from 'zod';
import type { StartOptions } from '../../../src/simulator/simulator.ts';
import { testDatabase } from '../../support/database.ts';
import { startMain, type Program } from '../../support/processes.ts';
import { GUARANTEE_ROWS } from '../../../src/source/guarantees.ts';
import { KEY, simulatorFor } from '../../support/simulator-client.ts';
import { descriptionText } from '../../support/vendors/shipped.ts';
import { openSlackChannel, SLACK_CHANNEL, SLACK_TOKEN } from '../../support/vendors/slack-channel.ts';

const tick = z.object({ snapshot: z.object({ card: z.record(z.string(), z.string()) }) });
const answer = z.looseObject({ status: z.string(), reason: z.string().nullish() });
const EVENTS: StartOptions = { events: 300, key: KEY };

async function started(
  t: TestContext,
  simulated: StartOptions,
  { flags = [], env = {} }: { flags?: string[]; env?: Record<string, string> } = {},
): Promise<Program> {
  const [database, simulator] = await Promise.all([testDatabase(t), simulatorFor(t, simulated)]);
  return startMain(t, ['--http-port', '0', '--stay', ...flags], {
    env: {
      DATABASE_URL: database.url,
      API_BASE_URL: simulator.baseUrl,
      TARGET_API_KEY: KEY,
      LOG_FORMAT: 'json',
      ...env,
    },
  });
}

/** What a stream has sent when it first matches. The stream is closed. */
async function firstOf(body: ReadableStream<Uint8Array> | null, pattern: RegExp): Promise<string> {
  let text = '';
  for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk;
    if (pattern.test(text)) break;
  }
  return text;
}

/** Waits until the job has ended and is still served. */
async function afterItsEnd(program: Program): Promise<{ url: string; exitCode: unknown }> {
  const line = await program.waitForLog(({ msg }) => msg === 'the job has ended; still serving until stopped');
  return { url: String(line['url']), exitCode: line['exit_code'] };
}

describe('with --stay', { concurrency: 3 }, () => {
  it('a complete run goes on being served, healthy, until SIGTERM ends it with 0', async (t) => {
    const program = await started(t, EVENTS);
    const { url, exitCode } = await afterItsEnd(program);
    assert.equal(exitCode, 0);
    assert.equal((await fetch(`${url}/health`)).status, 200);
    assert.equal((await fetch(`${url}/ready`)).status, 200);
    assert.match(await (await fetch(url)).text(), /DataSync ingestion/);
    assert.match(await (await fetch(`${url}/metrics`)).text(), /^datasync_events_merged_total 300$/m);
    // Nobody's terminal: it is closed, and this goes on.
    program.kill('SIGHUP');
    await program.waitForLog(({ msg }) => /^SIGHUP/.test(String(msg)));
    program.kill('SIGTERM');
    assert.equal((await program.waitForExit()).code, 0);
  });

  for (const { code, what, simulated, reason, env } of [
    {
      code: 2,
      what: 'has no key',
      simulated: EVENTS,
      env: { TARGET_API_KEY: '' },
      reason: /no key of the API: set TARGET_API_KEY/,
    },
    {
      code: 3,
      what: 'was refused its key',
      simulated: EVENTS,
      env: { TARGET_API_KEY: 'another' },
      reason: /refuses the key/,
    },
    {
      code: 5,
      what: 'did not find all events',
      simulated: { ...EVENTS, totalOffset: 7 },
      env: {},
      reason: /missing/,
    },
    {
      code: 5,
      what: 'rejected too much',
      simulated: { ...EVENTS, badIds: 0.5 },
      env: {},
      reason: /events were rejected/,
    },
  ] satisfies { code: number; what: string; simulated: StartOptions; reason: RegExp; env: Record<string, string> }[]) {
    it(`a run that ${what} is served too, unhealthy, with the reason; Ctrl-C ends it with ${code}`, async (t) => {
      const program = await started(t, simulated, { env });
      const { url, exitCode } = await afterItsEnd(program);
      assert.equal(exitCode, code);
      const health = await fetch(`${url}/health`);
      assert.equal(health.status, 503);
      assert.match(JSON.stringify(answer.parse(await health.json())), reason);
      assert.match(await (await fetch(`${url}/metrics`)).text(), new RegExp(`^datasync_exit_code ${code}$`, 'm'));
      program.kill('SIGINT');
      assert.equal((await program.waitForExit()).code, code);
    });
  }

  it('a run of a described source shows the card that its log begins with', async (t) => {
    const database = await testDatabase(t);
    const stub = await openSlackChannel(t, { count: 100 });
    const folder = await mkdtemp(join(tmpdir(), 'stay-'));
    t.after(() => rm(folder, { recursive: true }));
    const file = join(folder, 'slack.yaml');
    await writeFile(file, descriptionText('slack-channel', stub));
    const program = startMain(t, ['--source', file, '--http-port', '0', '--stay'], {
      env: { DATABASE_URL: database.url, LOG_FORMAT: 'json', SLACK_TOKEN, SLACK_CHANNEL },
    });
    const said = await program.waitForLog(({ msg }) => msg === 'what a run of this source promises');
    const { url } = await afterItsEnd(program);
    const { body } = await fetch(`${url}/events`);
    const [, data = ''] = /^event: tick\ndata: (.*)$/m.exec(await firstOf(body, /^event: tick\ndata: .*\n/m)) ?? [];
    const { card } = tick.parse(JSON.parse(data)).snapshot;
    assert.equal(Object.keys(card).length, GUARANTEE_ROWS.length);
    for (const [row, answer] of Object.entries(card)) assert.equal(said[row], answer);
  });

  it('a run that gave up ends: starting again is what helps', async (t) => {
    const program = await started(t, { ...EVENTS, badIds: 0.5 }, { flags: ['--max-rejected', '0'] });
    assert.equal((await program.waitForExit()).code, 4);
  });
});
