/** What takes half a minute of waiting by design: a 502 may be an outage of everything, so the job leaves the stream late. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ingestAll } from '../support/ingestion-scene.ts';

void test('a stream endpoint that answers 502 for good in the middle of a run leaves the rest to /events', async (t) => {
  const { simulator, books, end } = await ingestAll(t, {
    events: 100_000,
    streamBreaksAfter: 12,
    streamBreaksAs: '502',
    latency: 10,
  });
  assert.equal(books.inserted, 100_000);
  const { requests } = simulator.stats();
  t.diagnostic(`${end.report?.seconds} s, ${requests.stream} requests to the stream, ${requests.events} to /events`);
  assert.ok(requests.events > 0 && requests.stream > 12 && requests.stream < 12 + 8 * 8);
});
