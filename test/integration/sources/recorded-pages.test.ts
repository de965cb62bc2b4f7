/** Pages of GitHub as they were recorded, with their headers: links that lead to another path, a clock and a limit of 2022. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { z } from 'zod';
import { testDatabase } from '../../support/database.ts';
import { describedJob } from '../../support/described-job.ts';

const RECORDED = z
  .array(
    z.object({
      method: z.string(),
      path: z.string(),
      status: z.number(),
      response: z.unknown(),
      rawHeaders: z.array(z.string()),
    }),
  )
  .transform((all) => all.filter(({ method }) => method === 'get'));
const ISSUES = z.array(
  z.object({ id: z.number(), number: z.number(), title: z.string(), user: z.object({ login: z.string() }) }),
);
const GITHUB = 'https://api.github.com';
/** Of the recorded body, which was compressed, and its connection. */
const OF_THE_WIRE = new Set(['content-length', 'content-encoding', 'transfer-encoding', 'connection']);

const fixture = '@octokit/fixtures/scenarios/api.github.com/paginate-issues/raw-fixture.json';
const pages = RECORDED.parse(createRequire(import.meta.url)(fixture));

/** Answers what was asked when the pages were recorded, and nothing else. */
async function replay(t: TestContext): Promise<{ origin: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    const page = pages.find(({ path }) => path === request.url);
    if (page === undefined) {
      response.writeHead(404).end('{"message":"Not Found"}');
      return;
    }
    for (let at = 0; at < page.rawHeaders.length; at += 2) {
      const [name = '', value = ''] = page.rawHeaders.slice(at, at + 2);
      if (!OF_THE_WIRE.has(name.toLowerCase())) response.setHeader(name, value.replaceAll(GITHUB, origin));
    }
    response.writeHead(page.status).end(JSON.stringify(page.response));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { origin, asked };
}

void test('recorded pages of GitHub, by their links', async (t) => {
  const { origin, asked } = await replay(t);
  const database = await testDatabase(t);
  const text = `
name: issues
url: ${origin}${pages[0]?.path.replace(/\?.*/, '') ?? ''}
auth: { bearer: '\${TOKEN}' }
records: []
size: { param: per_page, max: 3 }
next: { link: header }
id: [id]
columns:
  id: { path: [id], type: bigint }
  number: { path: [number], type: bigint }
  title: { path: [title], type: text }
  author: { path: [user, login], type: text }
`;
  const settings = { DATABASE_URL: database.url, WORKER_THREADS: '1', MAX_WAIT: '10' };
  const log: string[] = [];
  const job = await describedJob({ text, variables: { TOKEN: 'k' }, settings, flags: [], waits: {} }, log);
  const { outcome } = await job.run();
  assert.equal(outcome, 'complete', log.join(''));
  const { rows } = await database.query(
    `SELECT id::float8 AS id, number::float8 AS number, title, json_build_object('login', author) AS user FROM issues ORDER BY id DESC`,
  );
  const recorded = ISSUES.parse(pages.flatMap(({ response }) => response));
  assert.equal(recorded.length, 13);
  assert.deepEqual(ISSUES.parse(rows), recorded);
  assert.deepEqual(
    asked,
    pages.map(({ path }) => path),
    log.join(''),
  );
});
