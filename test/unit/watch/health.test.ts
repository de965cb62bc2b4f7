import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NOT_FOLLOWED_YET } from '../../../src/core/job-snapshot.ts';
import { healthOf, readinessOf } from '../../../src/watch/health.ts';
import { snapshotOf, START_MS } from './job-feed.ts';

const STALL_MS = 120_000;

describe('health', () => {
  it('is well while something moves', () => {
    const { status, body } = healthOf(snapshotOf(), START_MS + STALL_MS - 1, STALL_MS);
    assert.equal(status, 200);
    assert.equal(body.status, 'ok');
    assert.equal(body.phase, 'loading');
    assert.equal(body.last_progress, '2026-06-01T12:00:00.000Z');
  });

  it('is ill when nothing has moved for as long as allowed, and says how long and what it waits for', () => {
    const waiting = { reason: 'database', untilMs: null, askedByApi: false };
    const { status, body } = healthOf(snapshotOf({ waiting }), START_MS + STALL_MS, STALL_MS);
    assert.equal(status, 503);
    assert.equal(body.status, 'stalled');
    assert.equal(body.reason, 'nothing has moved for 120 s in phase loading; waiting for: database');
  });

  it('excuses a wait that the API asked for, however long, and the same time after its end', () => {
    const untilMs = START_MS + 600_000;
    const snapshot = snapshotOf({ waiting: { reason: 'rate limit', untilMs, askedByApi: true } });
    assert.equal(healthOf(snapshot, untilMs, STALL_MS).status, 200);
    assert.equal(healthOf(snapshot, untilMs + STALL_MS - 1, STALL_MS).status, 200);
    assert.equal(healthOf(snapshot, untilMs + STALL_MS, STALL_MS).status, 503);
    const open = snapshotOf({ waiting: { reason: 'rate limit', untilMs: null, askedByApi: true } });
    assert.equal(healthOf(open, START_MS + 10 * STALL_MS, STALL_MS).status, 200);
  });

  it('stays well after a good end', () => {
    const ended = { exitCode: 0, reason: 'complete', atMs: START_MS };
    const { status, body } = healthOf(snapshotOf({ phase: 'ended', ended }), START_MS + 1e9, STALL_MS);
    assert.equal(status, 200);
    assert.equal(body.phase, 'ended');
    assert.equal(body.progress, 1);
  });

  for (const exitCode of [1, 2, 3, 4, 5, 6]) {
    it(`is ill after an end with code ${exitCode}, with the reason`, () => {
      const ended = { exitCode, reason: 'the key was refused', atMs: START_MS };
      const { status, body } = healthOf(snapshotOf({ phase: 'ended', ended }), START_MS, STALL_MS);
      assert.equal(status, 503);
      assert.equal(body.status, 'failed');
      assert.equal(body.reason, `ended with exit code ${exitCode}: the key was refused`);
      assert.equal(body.exit_code, exitCode);
    });
  }
});

describe('readiness', () => {
  it('begins when API and database were reached', () => {
    assert.equal(readinessOf(snapshotOf({ phase: 'starting' }), START_MS).status, 503);
    assert.equal(readinessOf(snapshotOf({ phase: 'loading' }), START_MS).status, 200);
  });

  it('does not end with a stall: that is what health is for', () => {
    assert.equal(readinessOf(snapshotOf(), START_MS + 1e9).status, 200);
  });

  it('ends with a job that failed, and stays with one that is complete', () => {
    const failed = { exitCode: 2, reason: 'no such host', atMs: START_MS };
    assert.equal(readinessOf(snapshotOf({ phase: 'ended', ended: failed }), START_MS).status, 503);
    assert.equal(
      readinessOf(snapshotOf({ phase: 'ended', ended: { exitCode: 0, reason: '', atMs: START_MS } }), START_MS).status,
      200,
    );
  });
});

describe('health of a job that follows', () => {
  const follow = { ...NOT_FOLLOWED_YET, newestEventMs: START_MS, nextLookMs: START_MS + 30_000, maxLagMs: 3_600_000 };
  const following = snapshotOf({ phase: 'following', follow });

  it('is well while it looks as often as it should, however long nothing comes', () => {
    const { status, body } = healthOf(following, START_MS + 30_000 + STALL_MS - 1, STALL_MS);
    assert.deepEqual([status, body.status], [200, 'ok']);
    assert.equal('lag_seconds' in body ? body.lag_seconds : null, 150);
    assert.equal(healthOf(following, START_MS + 30_000 + STALL_MS, STALL_MS).status, 503);
  });

  it('is degraded, which a restart would not change, when it is behind, waits, or is not proven', () => {
    const nextLookMs = START_MS + 3_600_001;
    const late = snapshotOf({ phase: 'following', follow: { ...follow, nextLookMs } });
    const behind = healthOf(late, START_MS + 3_600_001, STALL_MS);
    assert.deepEqual([behind.status, behind.body.status], [200, 'degraded']);
    assert.equal(behind.body.reason, 'the newest event is 3600 s old, and --max-lag allows 3600 s');
    const away = { sinceMs: START_MS, reason: '503' };
    const waiting = healthOf(snapshotOf({ phase: 'following', follow: { ...follow, away } }), START_MS + 1e9, STALL_MS);
    assert.equal(waiting.body.reason, 'waiting since 2026-06-01T12:00:00.000Z: 503');
    const unproven = { exitCode: 5, reason: '3 events are missing' };
    const shown = healthOf(snapshotOf({ phase: 'following', follow: { ...follow, unproven } }), START_MS, STALL_MS);
    assert.deepEqual([shown.body.status, shown.body.exit_code], ['degraded', 5]);
  });

  it('is well, and ready, while it stands by for another one', () => {
    const standby = snapshotOf({ phase: 'standby' });
    assert.equal(healthOf(standby, START_MS + 1e9, STALL_MS).status, 200);
    assert.equal(readinessOf(standby, START_MS + 1e9).status, 200);
  });
});
