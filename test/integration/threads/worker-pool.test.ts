import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { getPriority, platform, tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';

import type { EncodeTask } from '../../../workers/protocol.ts';
import { WorkerDiedError } from '../../../src/core/errors.ts';
import { WorkerPool, type WorkerPoolOptions } from '../../../src/threads/worker-pool.ts';
import { bytesOf, readRows, TEXT_COLUMNS } from '../../unit/encode/rows/copy-stream-reader.ts';

const PAGE = '{"data":[{"id":"a","name":"\\u0000"},null,{"id":"b"}],"hasMore":true,"nextCursor":"c"}';
const PROJECT = fileURLToPath(new URL('../../../', import.meta.url));

function encodeTask(
  text: string | Uint8Array = PAGE,
  contentEncoding: EncodeTask['contentEncoding'] = 'identity',
): EncodeTask {
  const { buffer, length } = bytesOf(text);
  return { body: buffer, bodyBytes: length, contentEncoding, instantMs: null, ...TEXT_COLUMNS };
}

function poolFor(t: TestContext, options: Partial<WorkerPoolOptions> = {}): WorkerPool {
  const pool = new WorkerPool({ threads: 1, ...options });
  t.after(() => pool.destroy());
  return pool;
}

/** A folder of the test's own under a name that is awkward in URLs. */
async function awkwardFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'worker pool #1 %20 '));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A worker that does something else. */
async function workerOf(t: TestContext, code: string): Promise<URL> {
  const file = path.join(await awkwardFolder(t), 'worker.mjs');
  await writeFile(file, code);
  return pathToFileURL(file);
}

describe('WorkerPool', () => {
  it(
    'gives way to the main thread',
    { skip: platform() === 'linux' ? false : 'threads have a priority of their own on Linux alone' },
    async (t) => {
      await poolFor(t).run(encodeTask());
      const threads = await readdir('/proc/self/task');
      const niceness = await Promise.all(
        threads.map(async (id) => {
          const stat = await readFile(`/proc/self/task/${id}/stat`, 'utf8').catch(() => '');
          // After the name, which may hold spaces: state is field 3 of proc_pid_stat(5), nice is 19.
          return { id: Number(id), nice: Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]) };
        }),
      );
      const own = getPriority();
      assert.equal(niceness.find(({ id }) => id === process.pid)?.nice, own);
      assert.ok(niceness.some(({ nice }) => nice > own));
    },
  );

  it('encodes a page in another thread, and moves its buffers there and back', async (t) => {
    const pool = poolFor(t);
    const task = encodeTask();
    const page = await pool.run(task);
    assert.equal(task.body.byteLength, 0);
    assert.ok(page.status === 'encoded');
    assert.deepEqual(
      readRows(page, TEXT_COLUMNS).map(({ id }) => id),
      ['a', 'b'],
    );
    assert.deepEqual([page.envelope.hasMore, page.envelope.nextCursor], [true, 'c']);
    assert.equal(Buffer.from(page.body, 0, page.bodyBytes).toString(), PAGE);
    assert.deepEqual(
      page.anomalies.map(({ original }) => Buffer.from(original).toString()),
      ['{"id":"a","name":"\\u0000"}', 'null'],
    );
    for (const { original } of page.anomalies) assert.equal(original.buffer, page.body);
  });

  it('decompresses, and gives back the decompressed page', async (t) => {
    const page = await poolFor(t).run(encodeTask(gzipSync(PAGE), 'gzip'));
    assert.ok(page.status === 'encoded');
    assert.equal(Buffer.from(page.body, 0, page.bodyBytes).toString(), PAGE);
    assert.ok(page.decodeMs > 0);
  });

  it('gives back a faulty page as a value, with its body', async (t) => {
    const pool = poolFor(t);
    const cut = await pool.run(encodeTask(gzipSync(PAGE).subarray(0, 40), 'gzip'));
    assert.ok(cut.status === 'faulty');
    assert.equal(cut.fault, 'undecodable');
    assert.equal(cut.bodyBytes, 40);
    const html = await pool.run(encodeTask('<html>'));
    assert.ok(html.status === 'faulty');
    assert.equal(html.fault, 'not-json');
    assert.equal(Buffer.from(html.body).toString(), '<html>');
  });

  it('works on several pages at once', async (t) => {
    const pool = poolFor(t, { threads: 2 });
    const pages = await Promise.all(Array.from({ length: 20 }, () => pool.run(encodeTask())));
    assert.ok(pages.every((page) => page.status === 'encoded' && page.rowCount === 2));
    assert.equal(pool.queued, 0);
  });

  const deaths: [string, string][] = [
    ['ends its process', 'export default () => process.exit(3);'],
    ['throws', "export default () => { throw new TypeError('a bug'); };"],
    ['throws nothing at all', 'export default () => { throw undefined; };'],
    ['runs out of memory', 'export default () => { const all = []; for (;;) all.push(new Array(2 ** 23).fill({})); };'],
    ['cannot be loaded', "throw new Error('at start');"],
    ['ends while it is loaded', 'process.exit(4);'],
    ['is no program', 'export const other = 1;'],
  ];
  for (const [name, code] of deaths) {
    it(`rejects every page with WorkerDiedError when its worker ${name}, now and later`, async (t) => {
      const pool = poolFor(t, { worker: await workerOf(t, code) });
      for (let attempt = 0; attempt < 2; attempt += 1) {
        const results = await Promise.allSettled([pool.run(encodeTask()), pool.run(encodeTask())]);
        for (const result of results) {
          assert.ok(result.status === 'rejected');
          assert.ok(result.reason instanceof WorkerDiedError);
          assert.match(result.reason.message, /asked for again/);
        }
      }
    });
  }

  it('goes on with other pages after a worker has died', async (t) => {
    const worker = await workerOf(
      t,
      `export default ({ bodyBytes, body }) => (bodyBytes === 1 ? process.exit(3) : { status: 'faulty', fault: 'not-json', detail: '', apiCode: null, body, bodyBytes });`,
    );
    const pool = poolFor(t, { threads: 2, worker });
    const results = await Promise.allSettled(
      ['1', '22', '1', '22', '22', '22'].map((body) => pool.run(encodeTask(body))),
    );
    assert.deepEqual(
      results.map(({ status }) => status),
      ['rejected', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled'],
    );
  });

  it('rejects what is under way when it is destroyed, and what comes after', async (t) => {
    const worker = await workerOf(t, 'export default () => new Promise(() => {});');
    const pool = poolFor(t, { worker });
    const pending = pool.run(encodeTask());
    await Promise.all([assert.rejects(pending, WorkerDiedError), pool.destroy()]);
    await assert.rejects(pool.run(encodeTask()), WorkerDiedError);
  });

  it('starts no thread in the place of those that it ends when it is destroyed', async (t) => {
    let started = 0;
    const count = (): void => {
      started += 1;
    };
    process.on('worker', count);
    t.after(() => process.off('worker', count));
    const pool = poolFor(t, { threads: 2 });
    await pool.run(encodeTask());
    await pool.destroy();
    // Node emits the event in the tick after the one that made the thread.
    await setImmediate();
    assert.equal(started, 2);
  });

  it('finds its worker from any folder, in a path with spaces, # and %', async (t) => {
    const folder = await awkwardFolder(t);
    for (const part of ['src', 'workers', 'package.json', 'tsconfig.json']) {
      await cp(path.join(PROJECT, part), path.join(folder, part), { recursive: true });
    }
    await symlink(path.join(PROJECT, 'node_modules'), path.join(folder, 'node_modules'));
    await mkdir(path.join(folder, 'elsewhere'));
    const program = `
      import { WorkerPool } from './src/threads/worker-pool.ts';
      const pool = new WorkerPool({ threads: 1 });
      const body = new TextEncoder().encode('{"data":[{"id":"a"}]}').buffer;
      const page = await pool.run({ body, bodyBytes: body.byteLength, contentEncoding: 'identity',
        idColumnTypes: { id: 'text', sessionId: 'text', userId: 'text' }, firstSourceOrder: 0n, maxEventBytes: 1000 });
      console.log(page.status, page.rowCount);
      await pool.destroy();`;
    await writeFile(path.join(folder, 'program.mts'), program);
    const tsx = pathToFileURL(path.join(PROJECT, 'node_modules/tsx/dist/loader.mjs')).href;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', tsx, path.join(folder, 'program.mts')],
      {
        cwd: path.join(folder, 'elsewhere'),
      },
    );
    assert.equal(stdout.trim(), 'encoded 1');
  });
});
