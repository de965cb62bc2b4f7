import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MergeSchedule } from '../../../../src/load/merge/merge-schedule.ts';
import type { MergeResult } from '../../../../src/load/merge/merge.ts';
import { NO_COUNTS } from '../../../../src/core/state.ts';
import type { StagingTable } from '../../../../src/load/schema/staging.ts';

const HOUR_MS = 3_600_000;

interface MergeCall {
  readonly table: StagingTable;
  readonly pages: number;
}

interface TestOptions {
  readonly intervalMs?: number;
  readonly maxStagedBytes?: number;
  readonly maxLateMs?: number;
  readonly isTargetEmpty?: boolean;
  readonly merge?: () => Promise<void>;
}

function resultOf(...tables: StagingTable[]): MergeResult {
  return { ...NO_COUNTS, tables, seconds: 0, isInitialMerge: false };
}

/** Its merges note what they are for; a closing one also which late pages it got. */
function scheduleWith(options: TestOptions = {}) {
  const calls: MergeCall[] = [];
  const failures: unknown[] = [];
  const schedule = new MergeSchedule({
    merge: async (table, pages, latePages) => {
      calls.push({ table, pages });
      await options.merge?.();
      const more = (await latePages?.()) ?? null;
      if (more === null) return resultOf(table);
      calls.push(more);
      return resultOf(table, more.table);
    },
    merged: () => Promise.resolve(),
    fail: (error) => failures.push(error),
    intervalMs: options.intervalMs ?? HOUR_MS,
    isTargetEmpty: options.isTargetEmpty ?? false,
    ...(options.maxStagedBytes === undefined ? {} : { maxStagedBytes: options.maxStagedBytes }),
    ...(options.maxLateMs === undefined ? {} : { maxLateMs: options.maxLateMs }),
  });
  return { schedule, calls, failures };
}

void test('a merge waits for every page that was assigned to its table, and counts those that were acknowledged', async () => {
  const { schedule, calls } = scheduleWith();
  const first = await schedule.assign(1);
  const second = await schedule.assign(1);
  first.acknowledge();
  const finished = schedule.finish();
  await new Promise(setImmediate);
  assert.deepEqual(calls, []);
  second.acknowledge();
  await finished;
  assert.deepEqual(calls, [{ table: 'a', pages: 2 }]);
});

void test('pages that come while a table is merged go to the other one', async () => {
  let release: () => void = () => undefined;
  const merging = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { schedule, calls } = scheduleWith({ merge: () => merging });
  (await schedule.assign(1)).acknowledge();
  const finished = schedule.finish();
  await new Promise(setImmediate);
  const late = await schedule.assign(1);
  assert.equal(late.table, 'b');
  late.acknowledge();
  release();
  await finished;
  await schedule.finish();
  assert.deepEqual(calls, [
    { table: 'a', pages: 1 },
    { table: 'b', pages: 1 },
  ]);
});

void test('nothing staged, nothing merged', async () => {
  const { schedule, calls } = scheduleWith();
  await schedule.finish();
  (await schedule.assign(1)).abandon();
  await schedule.finish();
  assert.deepEqual(calls, []);
});

void test('staging that outgrows its bound is merged before the next page gets a table', async () => {
  const { schedule, calls } = scheduleWith({ maxStagedBytes: 100 });
  (await schedule.assign(101)).acknowledge();
  const next = await schedule.assign(1);
  assert.deepEqual(calls, [{ table: 'a', pages: 1 }]);
  assert.equal(next.table, 'b');
  next.acknowledge();
  await schedule.finish();
});

void test('what is staged is merged when its interval is over, and what comes later in the next one', async () => {
  const { schedule, calls } = scheduleWith({ intervalMs: 5 });
  const merged = async (count: number): Promise<void> => {
    while (calls.length < count) await new Promise(setImmediate);
  };
  (await schedule.assign(1)).acknowledge();
  await merged(1);
  (await schedule.assign(1)).acknowledge();
  await merged(2);
  await schedule.stop();
  assert.deepEqual(
    calls.map(({ table }) => table),
    ['a', 'b'],
  );
});

void test('a merge that fails beside the walks is reported, and nothing waits for it', async () => {
  const { schedule, failures } = scheduleWith({
    maxStagedBytes: 100,
    merge: () => Promise.reject(new Error('no space')),
  });
  (await schedule.assign(101)).acknowledge();
  await schedule.assign(1);
  assert.equal(failures.length, 1);
  await schedule.stop();
});

void test('a merge that fails in the background while the end waits for it is the failure of the end', async () => {
  let lose: () => void = () => undefined;
  const losing = new Promise<void>((_resolve, reject) => {
    lose = () => {
      reject(new Error('staging was lost'));
    };
  });
  const { schedule, calls } = scheduleWith({ maxStagedBytes: 100, merge: () => losing });
  (await schedule.assign(101)).acknowledge();
  const next = schedule.assign(1);
  while (calls.length === 0) await new Promise(setImmediate);
  const finished = assert.rejects(schedule.finish(), /staging was lost/);
  lose();
  (await next).abandon();
  await finished;
  await schedule.stop();
});

/** A schedule whose early merge has begun with one page. */
async function closingSchedule(options: TestOptions = {}) {
  const scheduled = scheduleWith({ isTargetEmpty: true, ...options });
  (await scheduled.schedule.assign(1)).acknowledge();
  scheduled.schedule.beginEarlyMerge();
  // By microtasks only: what the test does next comes before any timer, however short.
  while (scheduled.calls.length === 0) await Promise.resolve();
  return scheduled;
}

for (const end of ['finish', 'mergeSoon'] as const) {
  void test(`an early merge takes the pages that came since it began, when ${end} says that there are no more`, async () => {
    const { schedule, calls } = await closingSchedule();
    (await schedule.assign(1)).acknowledge();
    const inCopy = await schedule.assign(1);
    const ended = schedule[end]();
    await new Promise(setImmediate);
    assert.deepEqual(calls, [{ table: 'a', pages: 1 }], 'one is in its COPY yet');
    inCopy.acknowledge();
    await ended;
    await schedule.finish();
    assert.deepEqual(calls, [
      { table: 'a', pages: 1 },
      { table: 'b', pages: 2 },
    ]);
  });
}

void test('a page that comes when an early merge takes late pages gets its table afterwards', async () => {
  const { schedule, calls } = await closingSchedule();
  (await schedule.assign(1)).acknowledge();
  const inCopy = await schedule.assign(1);
  schedule.mergeSoon();
  let assigned = false;
  const news = schedule.assign(1).finally(() => {
    assigned = true;
  });
  await new Promise(setImmediate);
  assert.equal(assigned, false);
  inCopy.acknowledge();
  (await news).acknowledge();
  await schedule.finish();
  assert.deepEqual(
    calls.map(({ pages }) => pages),
    [1, 2, 1],
  );
});

void test('an early merge gives up on late pages that do not come in time', async () => {
  const { schedule, calls } = await closingSchedule({ maxLateMs: 1 });
  const late = await schedule.assign(1);
  while (schedule.isMerging) await new Promise(setImmediate);
  late.acknowledge();
  await schedule.finish();
  assert.deepEqual(calls, [
    { table: 'a', pages: 1 },
    { table: 'b', pages: 1 },
  ]);
});

void test('an early merge gives up on late pages whose COPY does not end in time, and pages get their table again', async () => {
  const { schedule, calls } = await closingSchedule({ maxLateMs: 1 });
  const inCopy = await schedule.assign(1);
  schedule.mergeSoon();
  (await schedule.assign(1)).acknowledge();
  while (schedule.isMerging) await new Promise(setImmediate);
  assert.deepEqual(calls, [{ table: 'a', pages: 1 }]);
  inCopy.acknowledge();
  await schedule.finish();
  assert.deepEqual(calls.slice(1), [{ table: 'b', pages: 2 }]);
});

void test('an early merge gives up on late pages when they outgrow the bound of staging, or the job ends early', async () => {
  const { schedule, calls } = await closingSchedule({ maxStagedBytes: 100 });
  (await schedule.assign(101)).acknowledge();
  (await schedule.assign(1)).acknowledge();
  assert.deepEqual(calls, [
    { table: 'a', pages: 1 },
    { table: 'b', pages: 1 },
  ]);
  await schedule.stop();

  const stopped = await closingSchedule();
  (await stopped.schedule.assign(1)).acknowledge();
  await stopped.schedule.stop();
  assert.deepEqual(stopped.calls, [{ table: 'a', pages: 1 }]);
});

void test('only the initial merge can be an early merge', async () => {
  const { schedule, calls } = scheduleWith();
  (await schedule.assign(1)).acknowledge();
  schedule.beginEarlyMerge();
  await new Promise(setImmediate);
  assert.deepEqual(calls, []);
  await schedule.stop();
});

void test('an early merge that fails is the failure of the end, and nothing waits for it', async () => {
  const { schedule, failures } = await closingSchedule({ merge: () => Promise.reject(new Error('staging was lost')) });
  (await schedule.assign(1)).acknowledge();
  await assert.rejects(schedule.finish(), /staging was lost/);
  assert.equal(failures.length, 1);
  (await schedule.assign(1)).abandon();
  await schedule.stop();
});
