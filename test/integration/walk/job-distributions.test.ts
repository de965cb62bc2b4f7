/** However events are spread over time, and however the API treats bounds, every event arrives once and unchanged. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ingestAll, pageRequests } from '../../support/ingestion-scene.ts';
import { PAGE_SIZE } from '../../support/ingestion.ts';

for (const distribution of ['uniform', 'skewed', 'gaps'] as const) {
  void test(`${distribution} data arrives once and whole, in several windows`, async (t) => {
    // On a busy machine the next request is sent late: with less latency no two answers would overlap.
    const { counts, simulator } = await ingestAll(t, { events: 12_000, distribution, latency: 100 });
    assert.equal(counts.inserted, 12_000);
    assert.ok(simulator.stats().maxInFlight > 2, 'windows were walked in parallel');
  });
}

void test('more events at one instant than a page holds arrive by cursor', async (t) => {
  const { counts } = await ingestAll(t, { events: 4_000, distribution: 'instant' });
  assert.equal(counts.inserted, 4_000);
});

void test('events that share a millisecond across a border of windows are neither lost nor doubled', async (t) => {
  await ingestAll(t, { events: 8_000, distribution: 'ties', tieSize: 700, latency: 5 }, { BATCH_SIZE: '250' });
});

for (const sinceBound of ['inclusive', 'exclusive'] as const) {
  for (const untilBound of ['inclusive', 'exclusive'] as const) {
    void test(`nothing is lost at borders of windows when since is ${sinceBound} and until ${untilBound}`, async (t) => {
      // The ties are so close together that every border meets some.
      await ingestAll(t, {
        events: 6_000,
        distribution: 'ties',
        tieSize: 40,
        days: 0.01,
        latency: 3,
        sinceBound,
        untilBound,
      });
    });
  }
}

void test('an endpoint that ignores windows is walked as one chain', async (t) => {
  const { counts, simulator, end } = await ingestAll(t, { events: 9_000, windows: 'ignored', latency: 30 });
  assert.equal(counts.inserted, 9_000);
  assert.ok(
    pageRequests(simulator) < 45,
    `${pageRequests(simulator)} requests for 18 pages, probes and a look for news`,
  );
  assert.equal(end.log.filter((line) => line.includes('ignores time windows')).length, 1);
  // The windows that were asked for at once say nothing about the order: without one, nothing is caught up with.
  assert.ok(!end.log.some((line) => line.includes("order is not that of the events' times")));
});

void test('a walk ends by the times of its pages where the endpoint ignores since beside a cursor', async (t) => {
  const { counts, database } = await ingestAll(t, { events: 12_000, sinceWithCursor: 'ignored', latency: 5 });
  // One page crosses a window's lower bound; the next one, all of it below, shows that the walk has left the window.
  const bounds = await database.number('SELECT count(*) FROM ingestion.state WHERE since_ms IS NOT NULL');
  const most = 12_000 + bounds * 2 * PAGE_SIZE;
  assert.ok(counts.served <= most, `${counts.served} events were served, and ${bounds} lower bounds allow ${most}`);
});

void test('an endpoint that ignores both bounds beside a cursor is walked exactly', async (t) => {
  await ingestAll(t, { events: 12_000, sinceWithCursor: 'ignored', untilWithCursor: 'ignored', latency: 5 });
});

for (const events of [0, 1, 5_000, 5_001]) {
  void test(`a data set of ${events} events is taken as it is`, async (t) => {
    const { counts, simulator } = await ingestAll(t, { events }, { BATCH_SIZE: '5000' });
    assert.equal(counts.inserted, events);
    assert.ok(pageRequests(simulator) <= 4, `${pageRequests(simulator)} requests`);
  });
}

void test('a window outside of the data, answered with 418, ends without an error', async (t) => {
  await ingestAll(t, { events: 9_000, distribution: 'gaps', outOfRange: '418', latency: 3 });
  await ingestAll(t, { events: 0, outOfRange: '418' });
});

void test('the flat shape, the envelope first, snake case and flags as text are all understood', async (t) => {
  await ingestAll(t, { events: 3_000, shape: 'docs' });
  await ingestAll(t, { events: 3_000, envelope: 'before', keyOrder: 'reversed', extraFields: 0.5, hasMoreAs: 'text' });
  await ingestAll(t, {
    events: 3_000,
    dataField: 'events',
    keyCase: 'snake',
    hasMoreAs: 'number',
    lastCursor: 'absent',
  });
});

for (const ids of ['text', 'event-text', 'number', 'number-text'] as const) {
  void test(`ids written as ${ids} keep their characters`, async (t) => {
    const { database } = await ingestAll(t, { events: 2_000, ids, idField: 'eventId', timeField: 'occurredAt' });
    const { rows } = await database.query<{ data_type: string }>(
      `SELECT data_type FROM information_schema.columns WHERE table_name = 'ingested_events' AND column_name = 'id'`,
    );
    assert.deepEqual(rows, [{ data_type: 'text' }]);
  });
}

void test('pages of seven events, and of one, add up to the whole', async (t) => {
  await ingestAll(t, { events: 700 }, { BATCH_SIZE: '7' });
  await ingestAll(t, { events: 60 }, { BATCH_SIZE: '1' });
});

void test('compressed pages are decompressed', async (t) => {
  // The job does not ask for compression at 127.0.0.1 and localhost; it does at other addresses of this machine.
  const { simulator } = await ingestAll(t, { events: 3_000, compression: ['gzip'], host: '127.0.0.2' });
  assert.ok(simulator.stats().bytesServed < 600_000, `${simulator.stats().bytesServed} bytes for 1 MB of events`);
});
