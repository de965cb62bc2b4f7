import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BROKEN_EVENTS } from '../../../../src/api/api-client.ts';
import { SHAPES } from '../../../damage/body.ts';
import { breachesOf } from '../../../damage/oracle.ts';
import { beginSearch, walkPages } from '../../../damage/pages-walk.ts';
import { eventNumber } from '../../../support/scripted-events.ts';
import { bytesOf } from '../../encode/rows/copy-stream-reader.ts';

const REQUEST = {
  windowId: 0,
  page: 1,
  limit: 3,
  cursor: null,
  cursorReceivedAtMs: null,
  cursorLifeMs: null,
  sinceMs: null,
  untilMs: null,
  signal: new AbortController().signal,
} as const;

void test('a page whose events stay unclear is called that, however it is asked for: a new start does not help', async () => {
  const { search } = beginSearch(REQUEST.limit);
  const faults: string[] = [];
  for (let time = 0; time < 3; time += 1) {
    const { buffer } = bytesOf('{"data":[{"id":"a"},{"id":"b","n":NaN}],"hasMore":false}');
    const raw = { body: buffer, bodyBytes: buffer.byteLength, contentEncoding: 'identity' } as const;
    const answer = await search.encode(REQUEST, { instantMs: null }, raw);
    faults.push(answer.status === 'faulty' ? answer.fault : answer.status);
  }
  assert.deepEqual(faults, [BROKEN_EVENTS, BROKEN_EVENTS, BROKEN_EVENTS]);
});

const PAGE_SIZE = 50;
const SIDE_BY_SIDE = [
  [20],
  [20, 21],
  [0, 1, 2],
  [48, 49],
  [49, 50],
  [49, 50, 51],
  [10, 30],
  [10, 11, 12, 13],
  [88, 89],
];

for (const isKilled of [false, true]) {
  for (const places of SIDE_BY_SIDE) {
    const when = isKilled ? ', by a new process behind each page' : '';
    void test(`each broken event is found behind inclusive cursors: ${places.join(', ')}${when}`, async () => {
      const events = Array.from({ length: 90 }, (_, n) => {
        const text = JSON.stringify(eventNumber(n));
        const isDamaged = places.includes(n);
        // Two readings: what stands behind the name may be an event of its own.
        const damaged = text.replace(`event_${n}`, 'x"},{\\"id\\":\\"evil\\"}');
        return { bytes: Buffer.from(isDamaged ? damaged : text), isDamaged };
      });
      for (const shape of SHAPES) {
        // Where no page says how many it has, the very last event alone may be all that a page has of it.
        if (isKilled && places.includes(89) && shape !== 'live' && shape !== 'envelope-first') continue;
        const how = { isInclusive: true, isKilled: () => isKilled };
        const { rows, anomalies, requests, stuck } = await walkPages(events, PAGE_SIZE, shape, how);
        assert.equal(stuck, null, shape);
        const once = new Map(rows.map((row) => [row.id, row]));
        assert.deepEqual(breachesOf(events, [...once.values()], anomalies), [], shape);
        assert.ok(requests < 20 * (1 + places.length), `${requests} requests`);
      }
    });
  }
}
