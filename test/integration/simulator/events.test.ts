/** Contract section 6: the events that are served, and the truth about them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { Simulator } from '../../../src/simulator/simulator.ts';
import { ask, askEvents, parsePage } from '../../support/simulator-client.ts';
import { TOTAL, idsOf, truthIds, walkAll, withEvents } from './walks.ts';

const truthHash = (simulator: Simulator): string => {
  const hash = createHash('sha256');
  for (const { raw } of simulator.truth()) hash.update(raw).update('\n');
  return hash.digest('hex');
};

test('the skewed distribution has nine events of ten in a hundredth of the time, gaps have years between', async (t) => {
  const skewed = await withEvents(t, { distribution: 'skewed' });
  const days = Array.from(
    skewed.truth(),
    ({ occurredAtMicros }) => (1_769_541_612_369 - (occurredAtMicros ?? 0) / 1000) / 86_400_000,
  );
  const inBurst = days.filter((age) => age >= 12 && age <= 12.3).length;
  assert.ok(Math.abs(inBurst / TOTAL - 0.9) < 0.01, `${inBurst} of ${TOTAL}`);
  const gaps = await withEvents(t, { distribution: 'gaps' });
  const times = Array.from(gaps.truth(), ({ occurredAtMicros }) => (occurredAtMicros ?? 0) / 1000);
  const widest = times.filter((time, index) => index > 0 && (times[index - 1] ?? 0) - time > 300 * 86_400_000);
  assert.equal(widest.length, 3);
});

test('the same seed serves the same bytes, another seed others', async (t) => {
  const odd = { missingFields: 0.05, extraFields: 0.05, nasty: 0.05, badIds: 0.02, badTimes: 0.02, doubled: 9 };
  const [one, same, other] = [
    await withEvents(t, { seed: 7, ...odd }),
    await withEvents(t, { seed: 7, ...odd }),
    await withEvents(t, { seed: 8, ...odd }),
  ];
  assert.equal(truthHash(one), truthHash(same));
  assert.notEqual(truthHash(one), truthHash(other));
});

test('what a page serves is what the truth says, byte for byte, odd events included', async (t) => {
  const simulator = await withEvents(t, {
    missingFields: 0.05,
    extraFields: 0.05,
    nasty: 0.1,
    badIds: 0.05,
    badTimes: 0.05,
  });
  const body = (await askEvents(simulator, { limit: 5_000 })).body;
  const expected = Buffer.from(Array.from(simulator.truth(), ({ raw }) => Buffer.from(raw).toString('utf8')).join(','));
  assert.equal(body.indexOf(expected), '{"data":['.length);
  JSON.parse(body.toString('utf8'));
  const rejected = Array.from(simulator.truth()).filter(({ id }) => id === null).length;
  assert.ok(rejected > 50);
  assert.deepEqual(simulator.stats().data, {
    events: TOTAL,
    distinctIds: TOTAL - rejected,
    expectedRejected: rejected,
  });
});

test('types have the shares of the contract and an event takes about 347 bytes', async (t) => {
  const simulator = await withEvents(t, { events: 50_000 });
  const types = new Map<string, number>();
  let bytes = 0;
  for (const { raw } of simulator.truth()) {
    bytes += raw.length + 1;
    const type = /"type":"(\w+)"/.exec(Buffer.from(raw).toString('latin1'))?.[1] ?? '';
    types.set(type, (types.get(type) ?? 0) + 1);
  }
  assert.ok(Math.abs(bytes / 50_000 - 347) < 5, String(bytes / 50_000));
  for (const [type, share] of [
    ['page_view', 0.35],
    ['click', 0.25],
    ['api_call', 0.1],
    ['form_submit', 0.1],
    ['scroll', 0.05],
  ] as const) {
    assert.ok(Math.abs((types.get(type) ?? 0) / 50_000 - share) < 0.01, type);
  }
});

test('each timestamp format tells the time that the truth has', async (t) => {
  const simulator = await withEvents(t, {
    timestamps: ['ms', 'iso', 'seconds', 'whole-seconds', 'micros', 'nanos', 'digits', 'iso-offset', 'iso-micros'],
  });
  const kinds = new Set<string>();
  for (const { raw, occurredAtMicros } of simulator.truth()) {
    const json = /"timestamp":("?)([^",]+)/.exec(Buffer.from(raw).toString('latin1'));
    const text = json?.[2] ?? '';
    const quoted = json?.[1] === '"';
    const iso = text.includes('T');
    const digits = text.replace(/\..*/, '').length;
    let micros: number;
    if (iso) micros = Date.parse(text) * 1000 + Number(/\.\d{3}(\d{3})Z/.exec(text)?.[1] ?? 0);
    else micros = Math.round(Number(text) * 10 ** (16 - digits));
    kinds.add(iso ? `iso ${text.length}` : `${quoted ? 'text ' : ''}${digits} ${text.includes('.') ? 'fraction' : ''}`);
    assert.equal(micros, occurredAtMicros, text);
  }
  assert.ok(kinds.size >= 8, [...kinds].join());
});

test('ids, times and sessions can have other names, or be absent', async (t) => {
  const simulator = await withEvents(t, { ids: 'text', idField: 'eventId', timeField: 'occurredAt', session: false });
  const [event] = parsePage(await askEvents(simulator, { limit: 1 })).data;
  assert.deepEqual(Object.keys(event ?? {}), ['eventId', 'userId', 'type', 'name', 'properties', 'occurredAt']);
  assert.equal(event?.['eventId'], 'evt-0002345');
});

test('hand-written events are served as they are, in their places, whatever is in them', async (t) => {
  const rawEvents = [
    { position: 0, raw: '{"id":"first"}' },
    { position: 4, raw: '{"id":42, "timestamp":null}' },
    { position: 5, raw: Buffer.from([0x22, 0xff, 0xfe, 0x22]) },
    { position: 13, raw: '"last"' },
  ];
  const simulator = await withEvents(t, { events: 10, rawEvents });
  const body = (await askEvents(simulator, { limit: 100 })).body;
  const truth = Array.from(simulator.truth());
  assert.equal(
    body.indexOf(Buffer.concat(truth.flatMap(({ raw }, i) => (i === 0 ? [raw] : [Buffer.from(','), raw])))),
    9,
  );
  for (const { position, raw } of rawEvents)
    assert.deepEqual(Buffer.from(truth[position]?.raw ?? []), Buffer.from(raw));
  assert.deepEqual([truth[0]?.id, truth[4]?.id, truth[5]?.id, truth[13]?.id], ['first', '42', null, null]);
  assert.deepEqual(simulator.stats().data, { events: 14, distinctIds: 12, expectedRejected: 2 });
});

test('doubled events are served twice in a row and counted once', async (t) => {
  const simulator = await withEvents(t, { doubled: 10 });
  const served = idsOf(await walkAll(simulator, 10));
  assert.equal(served.length, TOTAL + 10);
  assert.equal(new Set(served).size, TOTAL);
  assert.deepEqual(simulator.stats().data, { events: TOTAL + 10, distinctIds: TOTAL, expectedRejected: 0 });
  const listed = (await ask(simulator.baseUrl, '/__sim/ids')).body.toString().trim().split('\n');
  assert.deepEqual(listed.sort(), [...new Set(served)].sort());
});

test('late arrivals take their place in time', async (t) => {
  const simulator = await withEvents(t);
  const middle = (Array.from(simulator.truth())[1_000]?.occurredAtMicros ?? 0) / 1000;
  simulator.addEvents(3, { atMs: Math.floor(middle) });
  const times = Array.from(simulator.truth(), ({ occurredAtMicros }) => occurredAtMicros ?? 0);
  assert.equal(times.length, TOTAL + 3);
  assert.ok(times.every((time, index) => index === 0 || time <= (times[index - 1] ?? 0)));
  assert.deepEqual(idsOf(await walkAll(simulator, 10)), truthIds(simulator));
});

test('an event from the year 2099 is the first of all', async (t) => {
  const simulator = await withEvents(t, { futureEvent: true, timestamps: ['iso'] });
  const [first] = parsePage(await askEvents(simulator, { limit: 1 })).data;
  assert.equal(first?.['timestamp'], '2099-01-01T00:00:00.000Z');
});
