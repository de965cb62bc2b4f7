import assert from 'node:assert/strict';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { exportIds } from '../../../src/commands/export-ids.ts';
import type { Environment } from '../../../src/core/config.ts';
import { startEmbeddedPostgres } from '../../../src/embedded-postgres/embedded-postgres.ts';
import { runningServer } from '../../../src/embedded-postgres/server-process.ts';
import { pino } from 'pino';
import pg from 'pg';
import { runCommand, type CommandEnding } from '../../support/command-output.ts';
import { testDatabase } from '../../support/database.ts';
import { startMain, startNpm } from '../../support/processes.ts';

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'datasync-export-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

function exportTo(output: string, flags: readonly string[], env: Environment): Promise<CommandEnding> {
  return runCommand(() => exportIds(['--output', output, ...flags], env));
}

test('every id is a line of the file, which npm run names by default', async (t) => {
  const db = await testDatabase(t);
  await db.query(`CREATE TABLE ingested_events AS SELECT gen_random_uuid() AS id FROM generate_series(1, 20000)`);
  const output = join(await folder(t), 'ids.txt');
  const program = startNpm(t, 'export-ids', ['--partial', '--output', output], { env: { DATABASE_URL: db.url } });
  assert.equal((await program.waitForExit()).code, 0);
  assert.equal(program.stdout, '');
  assert.match(program.stderr, new RegExp(`20000 ids in ${output}\n`));
  const { rows } = await db.query<{ id: string }>('SELECT id::text FROM ingested_events');
  const lines = (await readFile(output, 'utf8')).split('\n');
  assert.equal(lines.pop(), '');
  assert.deepEqual(lines.sort(), rows.map(({ id }) => id).sort());
});

/** What a line says: the id, with its line breaks and the backslashes before them. */
function idOf(line: string): string {
  return line.replace(/(\\+)([nr])/g, (_, { length }: string, letter: string) => {
    const isBreak = length % 2 === 1;
    return '\\'.repeat(Math.floor(length / 2)) + (isBreak ? (letter === 'n' ? '\n' : '\r') : letter);
  });
}

test('ids that COPY would escape arrive as they are, and line breaks so that every id has a line of its own', async (t) => {
  const db = await testDatabase(t);
  const ids = [String.raw`a\b`, String.raw`\N`, 'tab\there', 'ünï — 中', '\b\f\v', 'plain', '', '"quoted"', ' '];
  const broken = ['two\nlines', String.raw`two\nlines`, '\\\n', String.raw`\\n`, '\r', String.raw`\r`];
  // Enough of them that escapes stand at every place of the chunks they travel in.
  const many = Array.from({ length: 3000 }, (_, i) => `${'\\'.repeat(i % 7)}${i}\\${'x'.repeat(i % 11)}`);
  await db.query('CREATE TABLE ingested_events AS SELECT unnest($1::text[]) AS id', [[...ids, ...many, ...broken]]);
  const output = join(await folder(t), 'ids.txt');
  const { code, stderr } = await exportTo(output, ['--partial'], { DATABASE_URL: db.url, LOG_FORMAT: 'json' });
  assert.equal(code, 0);
  const lines = (await readFile(output, 'utf8')).split('\n').slice(0, -1);
  assert.deepEqual(lines.map(idOf).sort(), [...ids, ...many, ...broken].sort());
  for (const id of [...ids, ...many]) assert.ok(lines.includes(id), id);
  assert.match(stderr, /"ids":6,.*line break/);
});

test('a database without a table of events is refused, and an older file stays as it was', async (t) => {
  const db = await testDatabase(t);
  const place = await folder(t);
  const output = join(place, 'ids.txt');
  await writeFile(output, 'older\n');
  const { code, stderr } = await exportTo(output, [], { DATABASE_URL: db.url });
  assert.equal(code, 2);
  assert.match(stderr, /ingested_events in .* is not there yet: run npm start/);
  assert.equal(await readFile(output, 'utf8'), 'older\n');
  assert.deepEqual(await readdir(place), ['ids.txt']);
});

test('stopped in the middle it leaves nothing behind and ends with the code of the signal', async (t) => {
  const db = await testDatabase(t);
  // Each row takes its time, so that the export is still going on when the signal comes.
  await db.query(`CREATE TABLE source AS SELECT n AS id FROM generate_series(1, 100000) n`);
  await db.query(
    `CREATE VIEW ingested_events AS SELECT repeat('x', 2000) || pg_sleep(0.001)::text || id AS id FROM source`,
  );
  const place = await folder(t);
  const program = startMain(t, ['export-ids', '--output', join(place, 'ids.txt')], { env: { DATABASE_URL: db.url } });
  const running = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE query LIKE 'COPY%' AND datname = current_database()`;
  for (let n: unknown = 0; n === 0;) n = (await db.query<{ n: number }>(running)).rows[0]?.n;
  program.kill('SIGTERM');
  assert.equal((await program.waitForExit()).code, 143);
  assert.deepEqual(await readdir(place), []);
  assert.match(program.stderr, /stopped/);
});

test('what is not a regular file is not replaced', async (t) => {
  const db = await testDatabase(t);
  await db.query(`CREATE TABLE ingested_events AS SELECT gen_random_uuid() AS id`);
  const place = await folder(t);
  const { code, stderr } = await exportTo(place, [], { DATABASE_URL: db.url });
  assert.equal(code, 2);
  assert.match(stderr, /not a regular file/);
});

test("with nothing configured the demo's ids are read, and said to be the demo's, until there are real ones", async (t) => {
  const dataDir = await folder(t);
  const output = join(dataDir, 'ids.txt');
  const env = { DATA_DIR: dataDir, LOG_FORMAT: 'json' };
  const before = await exportTo(output, ['--partial'], env);
  assert.equal(before.code, 2);
  assert.match(before.stderr, /no embedded database .* yet/);

  const server = await startEmbeddedPostgres({ dataDir: join(dataDir, 'postgres'), logger: pino({ level: 'silent' }) });
  t.after(async () => {
    await server.stop();
    if (!server.dataDir.startsWith(dataDir)) await rm(server.dataDir, { recursive: true, force: true });
  });
  const fill = async (url: string, id: string) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(`CREATE TABLE ingested_events AS SELECT '${id}' AS id`);
    await client.end();
  };
  await fill(await server.urlFor('demo'), 'made-up');
  const demo = await exportTo(output, ['--partial'], env);
  assert.equal(demo.code, 0);
  assert.match(demo.stderr, /demo's database/);
  assert.equal(await readFile(output, 'utf8'), 'made-up\n');

  await fill(server.url, 'real');
  const real = await exportTo(output, ['--partial'], env);
  assert.equal(real.code, 0);
  assert.doesNotMatch(real.stderr, /demo's database/);
  assert.equal(await readFile(output, 'utf8'), 'real\n');
});

test('npm run db prints the address, keeps the database up also when its server is killed, and takes it down at Ctrl-C', async (t) => {
  const dataDir = await folder(t);
  const program = startNpm(t, 'db', [], { env: { DATA_DIR: dataDir, LOG_FORMAT: 'json' } });
  const url = await program.waitForLine(/^postgresql:/);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ place: string; name: string }>(
    `SELECT current_setting('data_directory') AS place, current_database() AS name`,
  );
  const [found] = rows;
  await client.end();
  assert.equal(found?.name, 'ingestion');
  t.after(() => rm(found.place, { recursive: true, force: true }));
  const killed = await runningServer(found.place);
  assert.ok(killed);
  process.kill(killed.pid, 'SIGKILL');
  const isBack = async (): Promise<boolean> => {
    const server = await runningServer(found.place);
    return server?.isReady === true && server.pid !== killed.pid && server.port === killed.port;
  };
  for (const deadlineMs = performance.now() + 30_000; !(await isBack());) {
    assert.ok(performance.now() < deadlineMs, 'the server was not started again');
    await delay(50);
  }
  program.killGroup('SIGINT');
  assert.equal((await program.waitForExit()).code, 0);
  assert.equal(await runningServer(found.place), null);
});
