import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EventStore } from '../../../../src/simulator/data/event-store.ts';
import { Population } from '../../../../src/simulator/data/population.ts';
import { rawBlock } from '../../../../src/simulator/data/raw-events.ts';
import { parseSettings } from '../../../../src/simulator/settings.ts';

function storeOf(choices: object): EventStore {
  const store = new EventStore();
  for (const block of new Population(parseSettings(choices)).render()) store.append(block);
  return store;
}

const textOf = (parts: readonly Buffer[]): string => Buffer.concat(parts).toString('utf8');

test('any slice is valid JSON of exactly its events, wherever segments were split', () => {
  const store = storeOf({ events: 60 });
  store.insert(
    [3, 17, 17, 60].map((rank, n) => ({
      rank,
      block: rawBlock({ position: 0, raw: `{"id":"r${n}"}` }, store.keyMicros(rank)),
    })),
  );
  const raws = Array.from(store.events(), ({ raw }) => Buffer.from(raw).toString('utf8'));
  assert.equal(store.count, 64);
  assert.deepEqual(
    raws.flatMap((raw, rank) => (raw.startsWith('{"id":"r') ? [rank] : [])),
    [3, 18, 19, 63],
  );
  fc.assert(
    fc.property(fc.nat(64), fc.nat(64), (a, b) => {
      const [from, to] = [Math.min(a, b), Math.max(a, b)];
      assert.equal(textOf(store.slices(from, to)), raws.slice(from, to).join(','));
    }),
  );
});

test('every cursor position leads to the next event, in instants of any size', () => {
  for (const ids of ['uuid', 'text', 'number'] as const) {
    for (const tieSize of [1, 7, 1_000]) {
      const store = storeOf({ events: 300, distribution: 'ties', tieSize, ids, badIds: 0.1 });
      for (let rank = 0; rank < store.count; rank += 1) {
        const id = store.orderId(rank) ?? store.placeName(rank);
        assert.equal(store.rankAfter(id, store.keyMicros(rank)), rank + 1, `${ids} ${tieSize} ${rank}`);
      }
    }
  }
});

test('a cursor whose event is not there any more leads to the first event after its place', () => {
  const store = storeOf({ events: 10, ids: 'text', distribution: 'instant' });
  assert.equal(store.rankAfter('evt-0000005', store.keyMicros(0)), 6);
  assert.equal(store.rankAfter('evt-000000a', store.keyMicros(0)), 1);
  assert.equal(store.rankAfter('zzz-9999999', store.keyMicros(0)), 0);
  assert.equal(store.rankAfter('evt-0000005', store.keyMicros(0) + 1), 0);
  assert.equal(store.rankAfter('evt-0000005', store.keyMicros(0) - 1), 10);
});

test('time bounds find the first rank at and after an instant', () => {
  const store = storeOf({ events: 100, distribution: 'ties', tieSize: 10 });
  const micros = store.keyMicros(45);
  assert.deepEqual([store.rankAtOrOlderThan(micros), store.rankOlderThan(micros)], [40, 50]);
  assert.deepEqual([store.rankAtOrOlderThan(0), store.rankOlderThan(Number.MAX_VALUE)], [100, 0]);
});
