import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InFlightLimit } from '../../../src/core/in-flight-limit.ts';

const signal = new AbortController().signal;

/** Whether a promise has settled once everything that can run has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending');
  const nextTurn = new Promise((resolve) => {
    setImmediate(() => {
      resolve(pending);
    });
  });
  return (await Promise.race([promise, nextTurn])) !== pending;
}

void test('no more pages than allowed are in flight, and the next gets its place when one is given back', async () => {
  const inFlight = new InFlightLimit(2, 1000);
  const first = await inFlight.acquire(10, signal);
  await inFlight.acquire(10, signal);
  const third = inFlight.acquire(10, signal);
  assert.equal(await isSettled(third), false);
  first.release();
  await third;
  assert.equal(inFlight.pages, 2);
  assert.equal(inFlight.bytes, 20);
});

void test('bytes are bounded by the estimate, and corrected when the page has come', async () => {
  const inFlight = new InFlightLimit(10, 100);
  const first = await inFlight.acquire(60, signal);
  const second = inFlight.acquire(60, signal);
  assert.equal(await isSettled(second), false);
  first.resize(30);
  await second;
  assert.equal(inFlight.bytes, 90);
});

void test('a page larger than the whole cap gets its turn when nothing else is in flight', async () => {
  const inFlight = new InFlightLimit(10, 100);
  const small = await inFlight.acquire(1, signal);
  const huge = inFlight.acquire(5_000, signal);
  assert.equal(await isSettled(huge), false);
  small.release();
  await huge;
  assert.equal(inFlight.bytes, 100);
});

void test('a place that is given back twice counts once', async () => {
  const inFlight = new InFlightLimit(1, 100);
  const permit = await inFlight.acquire(10, signal);
  permit.release();
  permit.release();
  permit.resize(50);
  assert.equal(inFlight.pages, 0);
  assert.equal(inFlight.bytes, 0);
});

void test('who waits longest comes first, even when a smaller page would fit', async () => {
  const inFlight = new InFlightLimit(10, 100);
  const first = await inFlight.acquire(80, signal);
  const order: string[] = [];
  const large = inFlight.acquire(90, signal).then((permit) => {
    order.push('large');
    permit.release();
  });
  const small = inFlight.acquire(10, signal).then((permit) => {
    order.push('small');
    permit.release();
  });
  first.release();
  await Promise.all([large, small]);
  assert.deepEqual(order, ['large', 'small']);
});

void test('an aborted wait leaves no trace and lets the next one through', async () => {
  const inFlight = new InFlightLimit(1, 100);
  const permit = await inFlight.acquire(10, signal);
  const controller = new AbortController();
  const aborted = inFlight.acquire(10, controller.signal);
  const next = inFlight.acquire(10, signal);
  controller.abort(new Error('enough'));
  await assert.rejects(aborted, /enough/);
  permit.release();
  await next;
  assert.equal(inFlight.pages, 1);
  await assert.rejects(inFlight.acquire(1, controller.signal), /enough/);
});
