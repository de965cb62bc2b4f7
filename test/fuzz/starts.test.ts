/**
 * `npm start` as people type it: FUZZ_STARTS (300 unless set) command lines, variables and `.env` files. Each ends with code 2 and
 * one line, or is a job that does what was said. There is never a stack, and never a secret. FUZZ_SEED runs a seed again.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { PROJECT_FOLDER, Program } from '../support/processes.ts';
import { ScriptedApi, type PageRequest } from '../support/scripted-api.ts';
import { eventsUpTo, NEWEST_MS } from '../support/scripted-events.ts';

const STARTS = Number(process.env['FUZZ_STARTS'] ?? 300);
const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31);
const EVENTS = 50;
const KEY = 'zQ9xk-a-key-0123456789';

const password = fc
  .array(
    fc.tuple(
      fc.constantFrom('zQ9xk', 'Vw7jq', '12'),
      fc.constantFrom('@', '/', '?', '#', ':', '%', '&', '=', '+', "'", ' ', '$', '-', ''),
    ),
    {
      minLength: 1,
      maxLength: 3,
    },
  )
  .map((parts) => `${parts.flat().join('')}xK4zz`);

const start = fc.record({
  password,
  isEncoded: fc.boolean(),
  place: fc.constantFrom('variable', 'flag', 'file'),
  since: fc.option(
    fc.constantFrom(
      '2026-01-27T19:19:47Z',
      '1769541587',
      '1769541587000',
      '2026',
      '2026-02-30',
      '27/01/2026',
      'Room 101',
    ),
    {
      nil: null,
      freq: 2,
    },
  ),
  pageSize: fc.constantFrom('10', '20', '0', 'ten'),
  swallowed: fc.option(fc.constantFrom('--max-rps=1', '--full', '--yes', '--user-agent=x', '--since=2026-01-27'), {
    nil: null,
    freq: 3,
  }),
  file: fc.constantFrom(
    '',
    '',
    '# nothing\n',
    '\ufeff',
    'LOG_LEVEL: debug\n',
    'LEVEL=debug\n',
    'zQ9xk\n',
    'NODE_OPTIONS=--x\n',
  ),
  extra: fc.option(fc.constantFrom('zQ9xk', '--apikey=zQ9xk', '--full', '--stay=1'), { nil: null, freq: 5 }),
});
type Start = typeof start extends fc.Arbitrary<infer T> ? T : never;

interface Scene {
  readonly api: ScriptedApi;
  readonly database: TestDatabase;
  /** A folder in which npm finds the project, and which may have a `.env` of its own. */
  readonly folder: string;
  readonly requests: PageRequest[];
}

async function openScene(t: TestContext): Promise<Scene> {
  const requests: PageRequest[] = [];
  const api = await ScriptedApi.open(t, {
    events: eventsUpTo(EVENTS),
    hook: (request) => {
      requests.push(request);
      return undefined;
    },
  });
  const folder = mkdtempSync(join(tmpdir(), 'datasync-starts-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  for (const name of ['package.json', 'src', 'workers', 'node_modules', 'tsconfig.json'])
    symlinkSync(join(PROJECT_FOLDER, name), join(folder, name));
  return { api, database: await testDatabase(t), folder, requests };
}

async function play({ api, database, folder, requests }: Scene, given: Start, number: number): Promise<void> {
  const role = `role_${number}`;
  await database.query(`CREATE ROLE ${role} SUPERUSER LOGIN PASSWORD '${given.password.replaceAll("'", "''")}'`);
  const { host, pathname } = new URL(database.url);
  const url = `postgres://${role}:${given.isEncoded ? encodeURIComponent(given.password) : given.password}@${host}${pathname}`;
  const flags = ['--page-size', given.pageSize, '--reset', '--yes', '--threads', '1', '--max-wait', '20'];
  if (given.since !== null) flags.push('--since', given.since);
  if (given.extra !== null) flags.push(given.extra);
  if (given.place === 'flag') flags.push(`--database-url=${url}`);
  const quote = given.password.includes("'") ? '"' : "'";
  const file = `${given.file}${given.place === 'file' ? `DATABASE_URL=${quote}${url}${quote}\n` : ''}`;
  const path = join(folder, '.env');
  rmSync(path, { force: true });
  if (file !== '') writeFileSync(path, file);
  requests.length = 0;
  const program = new Program(
    ['npm', 'start', '--silent', ...(given.swallowed === null ? [] : [given.swallowed]), '--', ...flags],
    {
      cwd: folder,
      env: {
        API_BASE_URL: api.baseUrl,
        TARGET_API_KEY: KEY,
        DATABASE_URL: given.place === 'variable' ? url : undefined,
      },
    },
  );
  const { code } = await program.waitForExit();
  const said = `${program.stdout}\n${program.stderr}`;
  const shown = `code ${code}\n${said}`;
  assert.doesNotMatch(said, /zQ9xk|Vw7jq|xK4zz/, shown);
  assert.doesNotMatch(said, /^\s+at .*:\d+:\d+/m, shown);
  if (code === 2) {
    const lines = said.split('\n').filter((line) => line !== '' && !/"level":"(info|warn)"/.test(line));
    assert.equal(lines.length, 1, shown);
    return;
  }
  assert.equal(code, 0, shown);
  assert.ok(
    !['0', 'ten'].includes(given.pageSize) &&
      !['2026', '2026-02-30', '27/01/2026', 'Room 101'].includes(given.since ?? ''),
    shown,
  );
  assert.ok(['', '# nothing\n', '\ufeff'].includes(given.file) || given.place === 'file', shown);
  assert.ok([null, '--yes', '--user-agent=x'].includes(given.swallowed), shown);
  const expected = given.since === null ? EVENTS : (NEWEST_MS - 1_769_541_587_000) / 1_000 + 1;
  assert.equal(await database.number('SELECT count(*) FROM ingested_events'), expected, shown);
  assert.ok(
    requests.some(({ query }) => query.get('limit') === given.pageSize),
    shown,
  );
}

void test(`starts as people type them (seed ${SEED})`, { timeout: 3_600_000 }, async (t) => {
  const scene = await openScene(t);
  for (const [number, given] of fc.sample(start, { numRuns: STARTS, seed: SEED }).entries()) {
    await play(scene, given, number);
  }
});
