/**
 * The limit of each vendor as it is documented, its time run faster: a job uses nearly all that is granted, and is hardly ever refused.
 * What a description says of the limit (`perSecond`) runs as much faster.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertCode, DescribedScene } from '../support/described-scene.ts';
import { SHIPPED } from '../support/vendors/shipped.ts';

/** Waits are told in whole seconds, so a window must be a few of them. */
const WINDOW_MS = 10_000;
/** Where a window grants more, it is as much smaller. */
const MOST_REQUESTS = 25;
const WINDOWS = 6;
/** The first seconds are for finding out; the last window is not used up. */
const LEAST_USED = 0.95;
/** Some tell of their limit by refusals alone, and at the edge of a window a few milliseconds decide. */
const MOST_REFUSED_A_WINDOW = 1.2;
const PAGE_SIZE = 10;

for (const { name, limit } of SHIPPED) {
  void test(`${name}: ${limit.requests} requests in ${limit.windowMs / 1_000} s`, async (t) => {
    const windowMs = Math.min(limit.windowMs, WINDOW_MS);
    const requests = Math.min(limit.requests, MOST_REQUESTS);
    const faster = requests / windowMs / (limit.requests / limit.windowMs);
    const rewrite = (text: string): string =>
      text.replace(/perSecond: ([\d.]+)/, (_, perSecond: string) => `perSecond: ${Number(perSecond) * faster}`);
    const count = requests * ((WINDOWS * WINDOW_MS) / windowMs) * PAGE_SIZE;
    const scene = await DescribedScene.open(t, name, { count, limit: { requests, windowMs }, rewrite });
    const end = await scene.ingest(['--page-size', String(PAGE_SIZE)]);
    assertCode(end, 0);
    await scene.assertExact();
    const { windows, refusals, roundedUpMs } = scene.stub;
    const [first, ...others] = windows.slice(WINDOW_MS / windowMs);
    const last = others.at(-1);
    assert.ok(first !== undefined && last !== undefined, 'too few windows to judge');
    const granted = [first, ...others.slice(0, -1)].reduce((sum, window) => sum + window.granted, 0);
    // Whole seconds are much of a window that was made this short.
    const roundedMs = windowMs === limit.windowMs ? 0 : (roundedUpMs * others.length) / windows.length;
    const used = granted / (requests * ((last.startedAtMs - first.startedAtMs - roundedMs) / windowMs));
    t.diagnostic(`${(used * 100).toFixed(1)} % used, ${refusals} of ${scene.stub.requests} refused`);
    assert.ok(used >= LEAST_USED, `${used} of the budget was used`);
    assert.ok(refusals <= MOST_REFUSED_A_WINDOW * windows.length, `${refusals} of ${scene.stub.requests} refused`);
  });
}
