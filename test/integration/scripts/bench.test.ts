import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { loadContenders, loadSuites } from '../../../bench/files.ts';
import { guard } from '../../../bench/results/promises.ts';
import { reportHtml } from '../../../bench/results/report.ts';
import { median } from '../../../bench/results/statistics.ts';
import { startScript } from '../../support/processes.ts';

const NAMES = ['floor', 'this project', 'two-stage', 'plain script'];

describe('the benchmark', () => {
  it('measures every contender from the API to the table, and finds that all have loaded the same', async (t) => {
    const bench = startScript(t, 'bench/run.ts', [
      ...['--suite', 'pipeline', '--events', '12_000', '--rounds', '1', '--no-report'],
    ]);
    const { code } = await bench.waitForExit();
    assert.equal(code, 0, bench.stderr);
    const rows = bench.stdout.split('\n').filter((line) => line.startsWith('│'));
    for (const name of NAMES) {
      const row = rows.find((line) => line.includes(` ${name} `));
      assert.ok(row !== undefined, `no row of ${name} in\n${bench.stdout}`);
    }
    assert.match(bench.stdout, /cores, .* GB/, 'the machine comes first');
    assert.match(bench.stdout, /not judged: whole job ÷ floor.* at 3000000 events/);
  });

  it('leaves nothing behind when it is interrupted', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'datasync-interrupted-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await chmod(folder, 0o755);
    const flags = ['--suite', 'pipeline', '--events', '50_000', '--no-report', '--tuned'];
    const bench = startScript(t, 'bench/run.ts', flags, {
      env: { TMPDIR: folder },
    });
    const isOurs = (name: string): boolean => name.startsWith('datasync-bench-');
    const serverOf = async (): Promise<number> => {
      const [name = ''] = (await readdir(folder)).filter(isOurs);
      return Number((await readFile(join(folder, name, 'cluster-tuned', 'postmaster.pid'), 'utf8')).split('\n')[0]);
    };
    // Its first line comes when the server runs, its second when the first contender is through.
    await bench.waitFor(() => bench.stderr.split('\n').length > 2, 'the first measurement');
    const pid = await serverOf();
    bench.kill('SIGINT');
    assert.equal((await bench.waitForExit()).code, 130);
    assert.deepEqual((await readdir(folder)).filter(isOurs), []);
    // A server that nobody waits for keeps its number for a while; what it runs is empty then.
    const command = (): string => (existsSync(`/proc/${pid}`) ? readFileSync(`/proc/${pid}/cmdline`, 'utf8') : '');
    while (!t.signal.aborted && command() !== '') await new Promise(setImmediate);
    assert.equal(command(), '', 'the server has ended');
  });

  it('finds suites and contenders by their files', async () => {
    const files = await readdir(new URL('../../../bench/suites/', import.meta.url));
    const suites = await loadSuites();
    assert.equal(suites.length, files.length);
    assert.equal(new Set(suites.map(({ name }) => name)).size, suites.length);
    assert.deepEqual(
      (await loadContenders()).map(({ name }) => name),
      NAMES,
    );
  });

  it('refuses a suite that does not exist, and names those that do', async (t) => {
    const bench = startScript(t, 'bench/run.ts', ['--suite', 'speed']);
    assert.notEqual((await bench.waitForExit()).code, 0);
    assert.match(bench.stderr, /pipeline/);
  });

  it('guards by the best round, and fails when even that is slower than 1.7 times the floor', () => {
    assert.equal(guard([2.4, 1.7, 1.9]).holds, true);
    assert.equal(guard([2.4, 1.71, 1.9]).holds, false);
  });

  it('writes a report that loads nothing and shows texts as they are', () => {
    const html = reportHtml([
      {
        suite: 'pipeline',
        title: '<script>alert(1)</script>',
        startedAt: '2026-01-01T00:00:00.000Z',
        seconds: 1,
        loadBefore: 0.5,
        machine: { processor: 'a & b', cores: 2, memoryGb: 8, system: 'Linux', node: 'v24', stolenPercent: null },
        tables: [{ title: 'table', columns: ['a', 'b'], rows: [['x', null]] }],
        charts: [{ title: 'chart', unit: 's', bars: [{ label: 'one', parts: [{ name: 'part', value: 2 }] }] }],
        checks: [{ what: 'promise', target: '≤ 1', measured: '2', holds: false }],
        raw: {},
      },
    ]);
    assert.doesNotMatch(html, /<script|https?:|src=|@import|url\(/);
    assert.match(html, /&lt;script&gt;alert\(1\)&lt;\/script&gt;/);
    assert.match(html, /a &amp; b/);
    assert.match(html, /<svg[^>]*>.*<rect/);
    assert.match(html, /falls short/);
  });

  it('takes the middle of odd and even numbers of rounds', () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 2, 3]), 2.5);
    assert.throws(() => median([]), RangeError);
  });
});
