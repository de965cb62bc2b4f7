import assert from 'node:assert/strict';
import { appendFile, chmod, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import pg from 'pg';
import { pino } from 'pino';
import { ConfigurationError, GaveUpError } from '../../../src/core/errors.ts';
import { serverAccount } from '../../../src/embedded-postgres/account.ts';
import { packagedBinaries, usableBinaries } from '../../../src/embedded-postgres/binaries.ts';
import { stopServer, untilStopped } from '../../../src/embedded-postgres/cluster.ts';
import { startEmbeddedPostgres } from '../../../src/embedded-postgres/embedded-postgres.ts';
import { runningServer } from '../../../src/embedded-postgres/server-process.ts';

import { clusterFolder, logger, query, startJob } from './setup.ts';

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

test('the server is set up for loading at each start, whatever the folder says, and without what does not go with that', async (t) => {
  const dataDir = await clusterFolder(t);
  const inForce = async (url: string): Promise<Record<string, unknown>> =>
    Object.fromEntries(
      (
        await query(
          url,
          `SELECT name, setting FROM pg_settings WHERE name IN
             ('fsync', 'full_page_writes', 'synchronous_commit', 'wal_level', 'checkpoint_timeout', 'archive_mode')`,
        )
      ).map(({ name, setting }) => [String(name), setting]),
    );
  const lasting = { fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on', checkpoint_timeout: '1800' };
  const first = await startEmbeddedPostgres({ dataDir, logger });
  assert.deepEqual(await inForce(first.url), { ...lasting, wal_level: 'minimal', archive_mode: 'off' });
  await first.stop();

  await appendFile(
    join(first.dataDir, 'postgresql.conf'),
    "archive_mode = on\narchive_command = 'true'\ncheckpoint_timeout = 60\n",
  );
  const log: string[] = [];
  const listening = pino({ level: 'warn' }, { write: (line: string) => log.push(line) });
  const second = await startEmbeddedPostgres({ dataDir, logger: listening });
  assert.deepEqual(await inForce(second.url), { ...lasting, wal_level: 'replica', archive_mode: 'on' });
  assert.match(log.join(''), /^{.*"without":\["wal_level","max_wal_senders","wal_skip_threshold"\].*}\n$/);
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

test('a server that was killed is started again at its address, and stopped by who needs it; else the end of its log says why', async (t) => {
  const dataDir = await clusterFolder(t);
  const server = await startEmbeddedPostgres({ dataDir, logger });
  const kill = async (): Promise<void> => {
    const running = await runningServer(dataDir);
    assert.ok(running);
    process.kill(running.pid, 'SIGKILL');
    await untilStopped(dataDir, running.pid);
  };
  await server.revive();
  await kill();
  await Promise.all([server.revive(), server.revive()]);
  assert.deepEqual(await query(server.url, 'SELECT 1 AS one'), [{ one: 1 }]);

  await kill();
  const settings = join(dataDir, 'postgresql.conf');
  const text = await readFile(settings, 'utf8');
  await writeFile(settings, 'no_such_setting = 1');
  await assert.rejects(server.revive(), (error: unknown) => {
    assert.ok(error instanceof GaveUpError);
    assert.match(error.message, /did not start.*no_such_setting/s);
    return true;
  });
  await writeFile(settings, text);
  await server.revive();
  await server.stop();
  assert.equal(await runningServer(dataDir), null);
  await server.revive();
  assert.equal(await runningServer(dataDir), null);
});

test('processes that a killed server has left are waited for, and take no settings away, also when they go while a start fails', async (t) => {
  const dataDir = await clusterFolder(t);
  const first = await startEmbeddedPostgres({ dataDir, logger });
  const session = new pg.Client({ connectionString: first.url });
  session.on('error', () => undefined);
  await session.connect();
  const { rows } = await session.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const pid = Number(rows[0]?.pid);
  // A process that is stopped does not see that its server is gone.
  process.kill(pid, 'SIGSTOP');
  const server = await runningServer(first.dataDir);
  assert.ok(server);
  process.kill(server.pid, 'SIGKILL');
  await untilStopped(first.dataDir, server.pid);

  // The first start fails because of that process, and ends when it has gone.
  const { postgres } = await usableBinaries(packagedBinaries(), await serverAccount(null));
  const programs = join(dataDir, '..', 'programs');
  await mkdir(join(programs, 'bin'), { recursive: true });
  const script = `#!/bin/sh
    case $1 in --version) exec ${postgres} --version;; esac
    kill -0 ${pid} 2>/dev/null || exec ${postgres} "$@"
    ${postgres} "$@"
    kill -KILL ${pid}
    while kill -0 ${pid} 2>/dev/null; do :; done`;
  await writeFile(join(programs, 'bin', 'postgres'), script, { mode: 0o755 });
  const log: string[] = [];
  const listening = pino({ level: 'warn' }, { write: (line: string) => log.push(line) });
  const next = await startEmbeddedPostgres({ dataDir, logger: listening, binariesDir: programs });
  assert.deepEqual(await query(next.url, 'SHOW wal_level'), [{ wal_level: 'minimal' }]);
  assert.deepEqual(log, []);
  await next.stop();
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
