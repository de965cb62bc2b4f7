import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlightBudget } from '../../../src/core/in-flight-limit.ts';

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
  const budget = new FlightBudget(2, 1000);
  const first = await budget.acquire(10, signal);
  await budget.acquire(10, signal);
  const third = budget.acquire(10, signal);
  assert.equal(await isSettled(third), false);
  first.release();
  await third;
  assert.equal(budget.pages, 2);
  assert.equal(budget.bytes, 20);
});

void test('bytes are bounded by the estimate, and corrected when the page has come', async () => {
  const budget = new FlightBudget(10, 100);
  const first = await budget.acquire(60, signal);
  const second = budget.acquire(60, signal);
  assert.equal(await isSettled(second), false);
  first.resize(30);
  await second;
  assert.equal(budget.bytes, 90);
});

void test('a page larger than the whole cap gets its turn when nothing else is in flight', async () => {
  const budget = new FlightBudget(10, 100);
  const small = await budget.acquire(1, signal);
  const huge = budget.acquire(5_000, signal);
  assert.equal(await isSettled(huge), false);
  small.release();
  await huge;
  assert.equal(budget.bytes, 100);
});

void test('a place that is given back twice counts once', async () => {
  const budget = new FlightBudget(1, 100);
  const place = await budget.acquire(10, signal);
  place.release();
  place.release();
  place.resize(50);
  assert.equal(budget.pages, 0);
  assert.equal(budget.bytes, 0);
});

void test('who waits longest comes first, even when a smaller page would fit', async () => {
  const budget = new FlightBudget(10, 100);
  const first = await budget.acquire(80, signal);
  const order: string[] = [];
  const large = budget.acquire(90, signal).then((place) => {
    order.push('large');
    place.release();
  });
  const small = budget.acquire(10, signal).then((place) => {
    order.push('small');
    place.release();
  });
  first.release();
  await Promise.all([large, small]);
  assert.deepEqual(order, ['large', 'small']);
});

void test('an aborted wait leaves no trace and lets the next one through', async () => {
  const budget = new FlightBudget(1, 100);
  const place = await budget.acquire(10, signal);
  const controller = new AbortController();
  const aborted = budget.acquire(10, controller.signal);
  const next = budget.acquire(10, signal);
  controller.abort(new Error('enough'));
  await assert.rejects(aborted, /enough/);
  place.release();
  await next;
  assert.equal(budget.pages, 1);
  await assert.rejects(budget.acquire(1, controller.signal), /enough/);
});
