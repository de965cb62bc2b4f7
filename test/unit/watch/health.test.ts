import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
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
