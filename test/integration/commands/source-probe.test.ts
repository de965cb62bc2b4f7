/** `npm run source -- probe` against an API that fails. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { source } from '../../../src/commands/source.ts';
import { runCommand } from '../../support/command-output.ts';

void test('a probe sends six requests at most, those that are refused among them', async (t) => {
  let requests = 0;
  const server = createServer((_, response) => {
    requests += 1;
    response.writeHead(429, { 'retry-after': '0' }).end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const folder = mkdtempSync(join(tmpdir(), 'probe-'));
  t.after(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true });
  });
  const file = join(folder, 'things.yaml');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  writeFileSync(file, `name: things\nurl: ${url}\nrecords: [data]\nnext: { link: header }\nid: [id]\n`);
  const { code, stderr } = await runCommand(() => source(['probe', file], {}));
  assert.equal(code, 4, stderr);
  assert.match(stderr, /6 requests were not enough/);
  assert.equal(requests, 6);
});
