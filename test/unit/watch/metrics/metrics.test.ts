import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import type { JobSnapshot } from '../../../../src/core/job-snapshot.ts';
import { METRICS } from '../../../../src/watch/metrics/metric-table.ts';
import { createMetrics, type Metrics } from '../../../../src/watch/metrics/metrics.ts';
import { NO_COUNTS } from '../../../../src/core/state.ts';
import { snapshotOf, windowOf } from '../job-feed.ts';
import { parseScrape, valueOf } from '../scrape.ts';

function metricsFor(t: TestContext, snapshot: () => JobSnapshot): Metrics {
  const metrics = createMetrics(snapshot);
  t.after(() => {
    metrics.close();
  });
  return metrics;
}

const scrapeOf = async (metrics: Metrics) => parseScrape((await metrics.text(false)).body);

describe('metrics', () => {
  it('have every name of the table with its type and sentence, before anything has happened', async (t) => {
    const scraped = await scrapeOf(metricsFor(t, () => snapshotOf()));
    const found = Object.fromEntries(scraped.map(({ name, type, help }) => [name, { type, help }]));
    const expected = Object.fromEntries(
      Object.entries(METRICS).map(([name, { type, help }]) => [name, { type: type.toUpperCase(), help }]),
    );
    assert.deepEqual(found, expected);
  });

  it('are named as OpenMetrics wants: units last, _total for counters only', () => {
    for (const [name, { type }] of Object.entries(METRICS)) {
      assert.match(name, /^(datasync|process)_[a-z_]+$/);
      assert.equal(name.endsWith('_total'), type === 'counter', name);
      if (type === 'histogram') assert.match(name, /_seconds$/);
      assert.doesNotMatch(name, /(_ms|_count|_sum|_bucket|_info)$/);
    }
  });

  it('show the counts of the run', async (t) => {
    const counts = {
      ...NO_COUNTS,
      served: 111,
      loaded: 110,
      inserted: 60,
      updated: 20,
      duplicates: 30,
      rejected: 1,
      repaired: 4,
    };
    const snapshot = snapshotOf({
      counts,
      totalEvents: 222,
      anomaliesByReason: { 'no id': 1, 'a "quoted"\nreason \\': 4 },
      retriesByKind: { transport: 3 },
      windows: [windowOf(1, { complete: true }), windowOf(2)],
      waiting: { reason: 'rate limit', untilMs: null, askedByApi: true },
      ended: { exitCode: 5, reason: 'short', atMs: 0 },
      proof: { kind: 'api-end', places: 111, expected: null, sentence: 'it ended' },
    });
    const scraped = await scrapeOf(metricsFor(t, () => snapshot));
    assert.equal(valueOf(scraped, 'datasync_events_merged_total'), 80);
    for (const [name, value] of Object.entries({
      served: 111,
      loaded: 110,
      inserted: 60,
      updated: 20,
      duplicates: 30,
      rejected: 1,
      repaired: 4,
    })) {
      assert.equal(valueOf(scraped, `datasync_events_${name}_total`), value, name);
    }
    assert.equal(valueOf(scraped, 'datasync_progress_ratio'), 0.5);
    assert.equal(valueOf(scraped, 'datasync_anomalies_total', { reason: 'no id' }), 1);
    assert.equal(valueOf(scraped, 'datasync_retries_total', { kind: 'transport' }), 3);
    assert.equal(valueOf(scraped, 'datasync_windows', { complete: 'true' }), 1);
    assert.equal(valueOf(scraped, 'datasync_waiting', { reason: 'rate limit', asked_by_api: 'true' }), 1);
    assert.equal(valueOf(scraped, 'datasync_phase', { phase: 'loading' }), 1);
    assert.equal(valueOf(scraped, 'datasync_exit_code'), 5);
    assert.equal(valueOf(scraped, 'datasync_proof', { kind: 'api-end' }), 1);
    assert.equal(valueOf(scraped, 'datasync_proof', { kind: 'count' }), undefined);
  });

  it('say nothing where nothing is known, rather than 0', async (t) => {
    const scraped = await scrapeOf(metricsFor(t, () => snapshotOf({ totalEvents: null })));
    for (const name of [
      'datasync_expected_events',
      'datasync_progress_ratio',
      'datasync_exit_code',
      'datasync_proof',
      'datasync_last_merge_timestamp_seconds',
    ]) {
      assert.equal(valueOf(scraped, name), undefined, name);
    }
  });

  it('name a wait by its kind alone: what differs each time would be a time series each', async (t) => {
    const waiting = { reason: 'the API failed: 503 (request id 4711)', untilMs: null, askedByApi: false };
    const scraped = await scrapeOf(metricsFor(t, () => snapshotOf({ waiting })));
    assert.equal(valueOf(scraped, 'datasync_waiting', { reason: 'the API failed', asked_by_api: 'false' }), 1);
  });

  it('hold what stages observe', async (t) => {
    const metrics = metricsFor(t, () => snapshotOf());
    metrics.observe.pageRequest(0.2, 'stream', 200);
    metrics.observe.pageRequest(0.4, 'stream', 200);
    metrics.observe.copy(0.05);
    metrics.observe.merge(2, true);
    metrics.observe.encode(0.006);
    metrics.observe.rateLimitWait(1.5);
    const { body } = await metrics.text(false);
    assert.match(body, /^datasync_page_request_duration_seconds_count\{endpoint="stream",status="200"\} 2$/m);
    assert.match(body, /^datasync_merge_duration_seconds_sum\{first_load="true"\} 2$/m);
    assert.match(body, /^datasync_copy_duration_seconds_count 1$/m);
    assert.match(body, /^datasync_encode_duration_seconds_count 1$/m);
    assert.match(body, /^datasync_rate_limit_wait_duration_seconds_sum 1\.5$/m);
  });

  it('tell requests that were never answered apart', async (t) => {
    const metrics = metricsFor(t, () => snapshotOf());
    metrics.observe.pageRequest(10, 'events', null);
    assert.match((await metrics.text(false)).body, /_count\{endpoint="events",status="none"\} 1$/m);
  });

  it('can be asked for in both formats at once, neither spoiling the other', async (t) => {
    const metrics = metricsFor(t, () => snapshotOf({ requests: 3 }));
    for (let round = 0; round < 2; round += 1) {
      const [open, plain] = await Promise.all([metrics.text(true), metrics.text(false)]);
      assert.match(open.contentType, /^application\/openmetrics-text; version=1\.0\.0/);
      assert.match(open.body, /^# TYPE datasync_requests counter\ndatasync_requests_total 3$/m);
      assert.ok(open.body.endsWith('\n# EOF\n'));
      assert.match(plain.contentType, /^text\/plain; version=0\.0\.4/);
      assert.match(plain.body, /^# TYPE datasync_requests_total counter\ndatasync_requests_total 3$/m);
    }
  });
});

describe('the Grafana dashboard', () => {
  const text = readFileSync(new URL('../../../../docs/grafana-dashboard.json', import.meta.url), 'utf8');

  it('uses only metrics that exist', () => {
    const used = [...text.matchAll(/\b(?:datasync|process)_[a-z_]+/g)].map(([name]) => name.replace(/_bucket$/, ''));
    assert.ok(used.length > 30);
    for (const name of new Set(used)) assert.ok(Object.hasOwn(METRICS, name), name);
  });

  it('shows every metric of the job but those that are parts of one it shows', () => {
    const inAnother = ['served', 'loaded', 'inserted'].map((name) => `datasync_events_${name}_total`);
    const left = Object.keys(METRICS).filter((name) => !text.includes(name) && !inAnother.includes(name));
    assert.deepEqual(left, [
      'datasync_pages_fetched_total',
      'datasync_fetched_bytes_total',
      'datasync_last_merge_timestamp_seconds',
    ]);
  });
});
