import assert from 'node:assert/strict';
import { chmod, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import pg from 'pg';
import { pino } from 'pino';
import { ConfigurationError } from '../../../src/core/errors.ts';
import { serverAccount } from '../../../src/embedded-postgres/account.ts';
import { stopServer, untilStopped } from '../../../src/embedded-postgres/cluster.ts';
import { startEmbeddedPostgres } from '../../../src/embedded-postgres/embedded-postgres.ts';
import { runningServer } from '../../../src/embedded-postgres/server-process.ts';
import { newClusterFolder } from '../../support/cluster.ts';
import { startScript, type Program, type ProgramOptions } from '../../support/processes.ts';

const logger = pino({ level: 'silent' });
const PROGRAM = 'test/support/cluster-program.ts';

/** A folder for a cluster, open to the server's account; gone, with any server in it, when the test ends. */
async function clusterFolder(t: TestContext, name = 'postgres'): Promise<string> {
  const folder = await newClusterFolder('datasync-embedded-');
  await chmod(folder, 0o755);
  const dataDir = join(folder, '.data', name);
  t.after(async () => {
    await stopServer(dataDir, 'immediate');
    await rm(folder, { recursive: true, force: true });
  });
  return dataDir;
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

async function startJob(
  t: TestContext,
  dataDir: string,
  who: 'as we are' | 'ordinary' = 'as we are',
  options: ProgramOptions = {},
): Promise<{ job: Program; url: string }> {
  const job = startScript(t, PROGRAM, [dataDir, who], options);
  const { url } = await job.waitForLog(({ msg }) => msg === 'ready', 'the database');
  assert.equal(typeof url, 'string');
  return { job, url: String(url) };
}

test('the cluster is UTF-8 in the C locale without LANG, whatever PG* variables say', async (t) => {
  const dataDir = await clusterFolder(t);
  const env = { PGDATA: '/nowhere', PGPORT: '1', PGHOST: 'nowhere.invalid', PGUSER: 'nobody', LC_ALL: 'xx_XX' };
  const { url } = await startJob(t, dataDir, 'as we are', { env });
  const rows = await query(
    url,
    `SELECT current_database() AS name, pg_encoding_to_char(encoding) AS encoding, datcollate AS collate
     FROM pg_database WHERE datname IN (current_database(), 'template1') ORDER BY 1`,
  );
  assert.deepEqual(rows, [
    { name: 'ingestion', encoding: 'UTF8', collate: 'C' },
    { name: 'ingestion', encoding: 'UTF8', collate: 'C' },
  ]);
});

test('a second start finds the rows of the first', async (t) => {
  const dataDir = await clusterFolder(t);
  const first = await startEmbeddedPostgres({ dataDir, logger });
  await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
  await first.stop();
  assert.equal(await runningServer(first.dataDir), null);

  const second = await startEmbeddedPostgres({ dataDir, logger });
  assert.deepEqual(await query(second.url, 'SELECT answer FROM kept'), [{ answer: 42 }]);
  await second.stop();
});

test('another database is created once, by two callers at the same time too', async (t) => {
  const dataDir = await clusterFolder(t);
  const server = await startEmbeddedPostgres({ dataDir, logger });
  const urls = await Promise.all([server.urlFor('demo'), server.urlFor('demo'), server.urlFor('demo')]);
  assert.equal(new Set(urls).size, 1);
  assert.deepEqual(await query(urls[0], 'SELECT current_database() AS name'), [{ name: 'demo' }]);
  await server.stop();
});

test('nobody gets in without the password, which only its owner can read', async (t) => {
  const dataDir = await clusterFolder(t);
  const server = await startEmbeddedPostgres({ dataDir, logger });
  const url = new URL(server.url);
  url.password = 'guessed';
  await assert.rejects(query(url.href, 'SELECT 1'), { code: '28P01' });
  const { mode } = await stat(join(server.dataDir, 'datasync-password'));
  assert.equal(mode & 0o777, 0o600);
  await server.stop();
});

test('Ctrl-C in the terminal of the job does not reach the server', async (t) => {
  const dataDir = await clusterFolder(t);
  const { job, url } = await startJob(t, dataDir);
  job.killGroup('SIGINT');
  await job.waitForLog(({ msg }) => msg === 'interrupted');
  assert.deepEqual(await query(url, 'SELECT 1 AS one'), [{ one: 1 }]);
  job.kill('SIGTERM');
  assert.equal((await job.waitForExit()).code, 0);
  assert.equal(await runningServer(dataDir), null);
});

test('a server whose job was killed is adopted by the next start, and stopped at its end', async (t) => {
  const dataDir = await clusterFolder(t);
  const { job, url } = await startJob(t, dataDir);
  await query(url, 'CREATE TABLE kept AS SELECT 42 AS answer');
  const before = await runningServer(dataDir);
  job.kill('SIGKILL');
  assert.equal((await job.waitForExit()).signal, 'SIGKILL');

  const next = await startEmbeddedPostgres({ dataDir, logger });
  assert.equal((await runningServer(dataDir))?.pid, before?.pid);
  assert.deepEqual(await query(next.url, 'SELECT answer FROM kept'), [{ answer: 42 }]);
  await next.stop();
  assert.equal(await runningServer(dataDir), null);
});

test('of several processes that use the server, the last one stops it', async (t) => {
  const dataDir = await clusterFolder(t);
  // Started at the same moment, in a folder without a cluster.
  const [a, b, c] = await Promise.all([startJob(t, dataDir), startJob(t, dataDir), startJob(t, dataDir)]);
  assert.equal(a.url, b.url);
  assert.equal(a.url, c.url);
  for (const { job } of [a, b]) {
    job.kill('SIGTERM');
    assert.equal((await job.waitForExit()).code, 0);
    assert.deepEqual(await query(c.url, 'SELECT 1 AS one'), [{ one: 1 }]);
  }
  c.job.kill('SIGTERM');
  assert.equal((await c.job.waitForExit()).code, 0);
  assert.equal(await runningServer(dataDir), null);
});

test('all users ending at the same moment leave no server behind', async (t) => {
  const dataDir = await clusterFolder(t);
  const jobs = await Promise.all([startJob(t, dataDir), startJob(t, dataDir), startJob(t, dataDir)]);
  for (const { job } of jobs) job.kill('SIGTERM');
  for (const { job } of jobs) assert.equal((await job.waitForExit()).code, 0);
  assert.equal(await runningServer(dataDir), null);
});

/** Kills one session's process; resolves when the server has ended another session, to recover. */
async function crash(url: string): Promise<void> {
  const [victim, witness] = [new pg.Client(url), new pg.Client(url)];
  for (const client of [victim, witness]) {
    client.on('error', () => undefined);
    await client.connect();
  }
  const ended = new Promise<void>((resolve) => {
    witness.once('end', resolve);
  });
  const { rows } = await victim.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  assert.ok(rows[0]);
  process.kill(rows[0].pid, 'SIGKILL');
  await ended;
}

test('a crash recovery changes nothing about who uses the server', async (t) => {
  const dataDir = await clusterFolder(t);
  const kept = await startEmbeddedPostgres({ dataDir, logger });
  const other = await startEmbeddedPostgres({ dataDir, logger });
  // Whoever stops in the middle of a recovery waits for its end, and then finds the other one.
  await crash(kept.url);
  await other.stop();
  assert.deepEqual(await query(kept.url, 'SELECT 1 AS one'), [{ one: 1 }]);
  await crash(kept.url);
  await kept.stop();
  assert.equal(await runningServer(dataDir), null);
});

test('a start in the moment of a stop gets a server that stays', async (t) => {
  const dataDir = await clusterFolder(t);
  let current = await startEmbeddedPostgres({ dataDir, logger });
  for (let round = 0; round < 6; round += 1) {
    // It adopts the server, or waits until that is gone.
    const [next] = await Promise.all([startEmbeddedPostgres({ dataDir, logger }), current.stop()]);
    assert.deepEqual(await query(next.url, 'SELECT 1 AS one'), [{ one: 1 }]);
    current = next;
  }
  await current.stop();
  assert.equal(await runningServer(dataDir), null);
});

test('after a crash of the machine, a stale postmaster.pid whose number is now another process is no obstacle', async (t) => {
  const dataDir = await clusterFolder(t);
  const first = await startEmbeddedPostgres({ dataDir, logger });
  const server = await runningServer(dataDir);
  assert.ok(server);
  const file = await readFile(join(dataDir, 'postmaster.pid'), 'utf8');
  process.kill(server.pid, 'SIGKILL');
  await untilStopped(dataDir, server.pid);
  await writeFile(join(dataDir, 'postmaster.pid'), file.replace(/^\d+/, String(process.pid)));

  const next = await startEmbeddedPostgres({ dataDir, logger });
  assert.deepEqual(await query(next.url, 'SELECT 1 AS one'), [{ one: 1 }]);
  await next.stop();
  await first.stop();
});

test('a folder with spaces, a quote, a hash and more bytes than a socket path may have is fine', async (t) => {
  const dataDir = await clusterFolder(t, `it's a #very ${'long '.repeat(20)}name`);
  const server = await startEmbeddedPostgres({ dataDir, logger });
  assert.deepEqual(await query(server.url, 'SELECT 1 AS one'), [{ one: 1 }]);
  await server.stop();
});

test('a cluster of another PostgreSQL version is refused and left alone', async (t) => {
  const dataDir = await clusterFolder(t);
  const server = await startEmbeddedPostgres({ dataDir, logger });
  await server.stop();
  await writeFile(join(dataDir, 'PG_VERSION'), '12\n');
  await assert.rejects(startEmbeddedPostgres({ dataDir, logger }), (error) => {
    assert.ok(error instanceof ConfigurationError);
    assert.match(error.message, /made by PostgreSQL 12.*DATABASE_URL/s);
    return true;
  });
});

test('a server that cannot start says why, with the end of its log', async (t) => {
  const dataDir = await clusterFolder(t);
  await assert.rejects(startEmbeddedPostgres({ dataDir, logger, settings: { max_connections: 'many' } }), (error) => {
    assert.ok(error instanceof Error);
    assert.match(error.message, /did not start/);
    assert.match(error.message, /max_connections/);
    return true;
  });
});

test('it works in a folder that is closed to everybody else', async (t) => {
  const dataDir = await clusterFolder(t);
  const closed = join(dataDir, '..');
  await mkdir(closed);
  await chmod(closed, 0o700);
  const server = await startEmbeddedPostgres({ dataDir, logger });
  t.after(async () => {
    await stopServer(server.dataDir, 'immediate');
    if (server.dataDir !== dataDir) await rm(server.dataDir, { recursive: true, force: true });
  });
  await query(server.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
  await server.stop();
  // As root the server runs as another user, who cannot get in: then a file says where the rows are.
  if (process.getuid?.() === 0) {
    assert.notEqual(server.dataDir, dataDir);
    assert.match(await readFile(`${dataDir}.location.txt`, 'utf8'), new RegExp(server.dataDir));
  } else {
    assert.equal(server.dataDir, dataDir);
  }
  const next = await startEmbeddedPostgres({ dataDir, logger });
  assert.deepEqual(await query(next.url, 'SELECT answer FROM kept'), [{ answer: 42 }]);
  await next.stop();
});

test('it works as an ordinary user', async (t) => {
  const dataDir = await clusterFolder(t);
  // Whoever runs the tests as an ordinary user tests that in every other test as well.
  const user = await serverAccount(null);
  const folder = join(dataDir, '..');
  await mkdir(folder);
  await chmod(folder, 0o777);
  const { job, url } = await startJob(t, dataDir, 'ordinary');
  assert.deepEqual(await query(url, 'SELECT 1 AS one'), [{ one: 1 }]);
  if (user !== null) assert.equal((await stat(dataDir)).uid, user.uid);
  job.kill('SIGTERM');
  assert.equal((await job.waitForExit()).code, 0);
  assert.equal(await runningServer(dataDir), null);
});
