import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import pg from 'pg';
import { ConfigurationError } from '../../../src/core/errors.ts';
import { startEmbeddedPostgres } from '../../../src/embedded-postgres/embedded-postgres.ts';
import { runningServer } from '../../../src/embedded-postgres/server-process.ts';

import { clusterFolder, logger, query, startJob } from './setup.ts';

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

test('a process that has the number of a killed one does not keep the server up', async (t) => {
  const dataDir = await clusterFolder(t);
  const server = await startEmbeddedPostgres({ dataDir, logger });
  // As a job leaves it that was killed, and whose number this process has now.
  await query(
    await server.urlFor('postgres'),
    `INSERT INTO server_lease (id, pid, process_started) VALUES (gen_random_uuid(), ${process.pid}, 'another time')`,
  );
  await server.stop();
  assert.equal(await runningServer(server.dataDir), null);
});

test('a process of version 1.0.0, which says so by a lock, keeps the server', async (t) => {
  const dataDir = await clusterFolder(t);
  const server = await startEmbeddedPostgres({ dataDir, logger });
  const former = new pg.Client({ connectionString: await server.urlFor('postgres') });
  await former.connect();
  await former.query('SELECT pg_advisory_lock_shared(7304112501)');
  await server.stop();
  assert.equal((await former.query('SELECT 1')).rowCount, 1);
  await former.end();
});

test('an empty password file is refused at once, with the way out', async (t) => {
  const dataDir = await clusterFolder(t);
  const server = await startEmbeddedPostgres({ dataDir, logger });
  await server.stop();
  await writeFile(join(server.dataDir, 'datasync-password'), '');
  await assert.rejects(startEmbeddedPostgres({ dataDir, logger }), (error: unknown) => {
    assert.ok(error instanceof ConfigurationError);
    assert.match(error.message, /password .* is empty/);
    return true;
  });
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
