import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NO_COUNTS } from '../../../src/core/state.ts';
import { progressLine } from '../../../src/watch/progress-line.ts';
import { snapshotOf, START_MS } from './job-feed.ts';

const RATES = { now: 61_234, average: 58_000, etaSeconds: 92 };
const LOADING = snapshotOf({
  totalEvents: 3_000_000,
  counts: { ...NO_COUNTS, served: 1_200_000, rejected: 2, repaired: 1 },
  stagedRows: 34_567,
  pagesInFlight: 8,
});

describe('the progress line', () => {
  it('says percent, time left, rates, events, pages and anomalies beside a bar', () => {
    assert.equal(
      progressLine(LOADING, RATES, START_MS, 160),
      `${'█'.repeat(13)}${'░'.repeat(19)} 41.1 % · 1 min 32 s left · 61.2k/s · 1.23M/3.00M · avg 58.0k/s · 8 pages in flight · 3 anomalies`,
    );
  });

  it('says first what it waits for, with the seconds left', () => {
    const waiting = { reason: 'rate limit', untilMs: START_MS + 22_400, askedByApi: true };
    const line = progressLine({ ...LOADING, waiting }, RATES, START_MS, 60);
    assert.match(line, /41\.1 % · waiting: rate limit, 23 s · /);
  });

  it('is narrower than the terminal, however narrow that is, and keeps the percent longest', () => {
    for (let columns = 1; columns <= 200; columns += 1) {
      const line = progressLine(LOADING, RATES, START_MS, columns);
      assert.ok(line.length <= Math.max(1, columns - 1), `${columns}: ${line}`);
      if (columns > 7) assert.match(line, /41\.1 %/);
    }
  });

  it('shows no bar and no percent when nobody knows the total, but what was done', () => {
    const line = progressLine({ ...LOADING, totalEvents: null }, { ...RATES, etaSeconds: null }, START_MS, 100);
    assert.equal(line, 'loading · 61.2k/s · 1,234,567 events · avg 58.0k/s · 8 pages in flight · 3 anomalies');
  });

  it('names the phase once', () => {
    const begun = snapshotOf({ phase: 'starting', totalEvents: null });
    const line = progressLine(begun, { now: 0, average: 0, etaSeconds: null }, START_MS, 100);
    assert.equal(line, 'starting · 0/s · 0 events · avg 0/s');
    assert.match(progressLine({ ...LOADING, phase: 'merging' }, RATES, START_MS, 160), / · merging$/);
  });
});
