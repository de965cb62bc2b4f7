import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StreamReturn } from '../../../src/api/stream-return.ts';

const open = new AbortController().signal;

void test('it is looked again and again until it serves', async () => {
  const looks = [false, false, true];
  const times: number[] = [];
  const isBack = await new StreamReturn({ firstMs: 10, thenMs: 40 }, open).wait(() => {
    times.push(performance.now());
    return Promise.resolve(looks.shift() ?? false);
  });
  assert.ok(isBack);
  assert.equal(times.length, 3);
  assert.ok((times[2] ?? 0) - (times[1] ?? 0) >= 39);
});

void test('an endpoint that returns again and again and is lost at once is not looked at any more', async () => {
  const streamReturn = new StreamReturn({ firstMs: 1, thenMs: 50 }, open);
  const serves = (): Promise<boolean> => Promise.resolve(true);
  const returns: boolean[] = [];
  for (let nth = 0; nth < 4; nth += 1) returns.push(await streamReturn.wait(serves));
  assert.deepEqual(returns, [true, true, true, false]);
});

void test('nobody looks once the client is closed', async () => {
  const closing = new AbortController();
  const waiting = new StreamReturn({ firstMs: 60_000, thenMs: 60_000 }, closing.signal).wait(() =>
    Promise.resolve(true),
  );
  closing.abort();
  await assert.rejects(waiting, { name: 'AbortError' });
});
