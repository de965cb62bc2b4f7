/** `npm run simulate`: flags, the line it prints, signals. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { simulate } from '../../../src/commands/simulate.ts';
import { ConfigurationError } from '../../../src/core/errors.ts';
import { settingNames } from '../../../src/simulator/settings.ts';
import { ask, simulatorFor } from '../../support/simulator-client.ts';

const root = new URL('../../../', import.meta.url);
const start = (...flags: string[]) =>
  spawn(process.execPath, ['--import', 'tsx', 'src/main.ts', 'simulate', ...flags], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });

async function firstLine(stream: Readable): Promise<string> {
  for await (const line of createInterface(stream)) return line;
  return '';
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`it prints its address when it serves, and ${signal} ends it`, async (t) => {
    const child = start('--port', '0', '--events', '1000', '--shape', 'docs', '--chunked');
    t.after(() => child.kill('SIGKILL'));
    const line = await firstLine(child.stdout);
    const origin = /http:\/\/127\.0\.0\.1:\d+\/api\/v1/.exec(line)?.[0] ?? '';
    assert.match(line, /serves 1000 events/);
    const reply = await ask(origin, '/api/v1/events');
    assert.equal(reply.headers['transfer-encoding'], 'chunked');
    assert.match(reply.body.toString(), /"hasMore":true/);
    child.kill(signal);
    assert.deepEqual(await once(child, 'exit'), [0, null]);
  });
}

test('--help lists every setting', async () => {
  const child = start('--help');
  const help = await text(child.stdout);
  for (const name of settingNames) {
    assert.ok(help.includes(`--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} `), name);
  }
});

test('unknown flags and bad values are refused, all bad values at once', async () => {
  await assert.rejects(
    simulate(['--evnts', '3'], {}),
    (error) => error instanceof ConfigurationError && error.message.includes('--evnts'),
  );
  await assert.rejects(
    simulate(['--events', '-3', '--stale-as', '499', '--fault-plan', '5:nonsense'], {}),
    (error) =>
      error instanceof ConfigurationError &&
      ['--events', '--stale-as', '--fault-plan'].every((flag) => error.message.includes(flag)),
  );
});

test('a port that is taken is a configuration error', async (t) => {
  const { port } = await simulatorFor(t, { events: 1 });
  await assert.rejects(simulate(['--events', '1', '--port', String(port)], {}), ConfigurationError);
});
