/** `npm run source -- probe` against an API that fails. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { source } from '../../../src/commands/source.ts';
import { runCommand } from '../../support/command-output.ts';

/** @returns the file of a description that asks the server */
async function describedApi(t: TestContext, words: string, answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const folder = mkdtempSync(join(tmpdir(), 'probe-'));
  t.after(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true });
  });
  const file = join(folder, 'things.yaml');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  writeFileSync(file, `name: things\nurl: ${url}\nrecords: [data]\nid: [id]\n${words}\n`);
  return file;
}

void test('a probe sends six requests at most, those that are refused among them', async (t) => {
  let requests = 0;
  const file = await describedApi(t, 'next: { link: header }', (_, response) => {
    requests += 1;
    response.writeHead(429, { 'retry-after': '0' }).end('{}');
  });
  const { code, stderr } = await runCommand(() => source(['probe', file], {}));
  assert.equal(code, 4, stderr);
  assert.match(stderr, /6 requests were not enough/);
  assert.equal(requests, 6);
});

for (const [name, counted, seen] of [
  ['0', (page: number) => page, /next\.count\.first.*20 records at 0 come before the first page/],
  ['1', (page: number) => page - 1, /next\.count\.first.*nothing more at 0/],
  ['1, and takes 0 for 1', (page: number) => Math.max(0, page - 1), /next\.count\.first.*nothing more at 0/],
] as const) {
  void test(`a probe sees whether pages are counted from 1 by an API that counts from ${name}`, async (t) => {
    const words = 'size: { param: size, max: 20 }\nnext: { count: { param: page, first: 1, step: 1 } }';
    const file = await describedApi(t, words, (request, response) => {
      const query = new URL(request.url ?? '', 'http://api').searchParams;
      const [at, size] = [counted(Number(query.get('page'))), Number(query.get('size'))];
      const data = Array.from({ length: size }, (_, index) => ({ id: at * size + index }));
      response.writeHead(at < 0 ? 404 : 200).end(JSON.stringify({ data }));
    });
    const { stdout } = await runCommand(() => source(['probe', file], {}));
    assert.match(stdout, seen);
  });
}
