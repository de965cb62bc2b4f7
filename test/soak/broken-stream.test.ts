/** Half a minute by design: a 502 can mean an outage of the whole API, so the job leaves the stream endpoint late. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ingestAll } from '../support/ingestion-scene.ts';

void test('when the stream endpoint answers 502 for good in the middle of a run, the job loads the rest from /events', async (t) => {
  const { simulator, counts, end } = await ingestAll(t, {
    events: 100_000,
    streamBreaksAfter: 12,
    streamBreaksAs: '502',
    latency: 10,
  });
  assert.equal(counts.inserted, 100_000);
  const { requests } = simulator.stats();
  t.diagnostic(`${end.report?.seconds} s, ${requests.stream} requests to the stream, ${requests.events} to /events`);
  assert.ok(requests.events > 0 && requests.stream > 12 && requests.stream < 12 + 8 * 8);
});
