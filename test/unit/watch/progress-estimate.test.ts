import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eventsDone, progressRatio, RateMeter } from '../../../src/watch/progress-estimate.ts';
import { NO_COUNTS } from '../../../src/core/state.ts';
import { snapshotOf, START_MS } from './job-feed.ts';

describe('progress', () => {
  it('counts what earlier starts have merged and what is staged now', () => {
    const snapshot = snapshotOf({ counts: { ...NO_COUNTS, served: 400_000 }, stagedRows: 100_000 });
    assert.equal(eventsDone(snapshot), 500_000);
    assert.equal(progressRatio(snapshot), 0.5);
  });

  it('is not complete before the job says so, even when everything was served', () => {
    const snapshot = snapshotOf({ counts: { ...NO_COUNTS, served: 1_200_000 } });
    assert.equal(eventsDone(snapshot), 1_000_000);
    assert.equal(progressRatio(snapshot), 0.999);
    assert.equal(progressRatio({ ...snapshot, ended: { exitCode: 5, reason: 'short', atMs: START_MS } }), 0.999);
    assert.equal(progressRatio({ ...snapshot, ended: { exitCode: 0, reason: 'complete', atMs: START_MS } }), 1);
  });

  it('is unknown while nobody knows the total', () => {
    assert.equal(progressRatio(snapshotOf({ totalEvents: null })), null);
    assert.equal(progressRatio(snapshotOf({ totalEvents: 0 })), null);
  });
});

describe('rates', () => {
  /** 1,000 events a second for a minute, then whatever comes. */
  const steadyMeter = () => {
    const meter = new RateMeter();
    for (let second = 0; second <= 60; second += 1) {
      meter.observe(snapshotOf({ copiedEvents: second * 1_000 }), START_MS + second * 1_000);
    }
    return meter;
  };

  it('tells the last five seconds from the average', () => {
    const meter = steadyMeter();
    meter.observe(snapshotOf({ copiedEvents: 60_000 }), START_MS + 64_000);
    const rates = meter.observe(snapshotOf({ copiedEvents: 60_000 }), START_MS + 70_000);
    assert.equal(rates.now, 0);
    assert.equal(Math.round(rates.average), 857);
  });

  it('estimates the time left by the last minute', () => {
    const meter = steadyMeter();
    const snapshot = snapshotOf({ copiedEvents: 61_000, stagedRows: 61_000, totalEvents: 121_000 });
    const rates = meter.observe(snapshot, START_MS + 61_000);
    assert.equal(rates.etaSeconds, 60);
  });

  it('estimates nothing without a total, without progress, and after the end', () => {
    const at = START_MS + 5_000;
    assert.equal(new RateMeter().observe(snapshotOf({ totalEvents: null, copiedEvents: 5 }), at).etaSeconds, null);
    assert.equal(new RateMeter().observe(snapshotOf(), at).etaSeconds, null);
    const ended = snapshotOf({ copiedEvents: 5, ended: { exitCode: 0, reason: 'complete', atMs: at } });
    assert.deepEqual(new RateMeter().observe(ended, at), { now: 0, average: 1, etaSeconds: null });
  });

  it('stands still after the end', () => {
    const ended = { exitCode: 0, reason: 'complete', atMs: START_MS + 60_000 };
    const meter = steadyMeter();
    for (const minutes of [1, 11, 1_000]) {
      const { average } = meter.observe(snapshotOf({ copiedEvents: 60_000, ended }), START_MS + minutes * 60_000);
      assert.equal(average, 1_000);
    }
  });
});
