import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, it } from 'node:test';

import fc from 'fast-check';
import { z } from 'zod';

import { encodePage } from '../../../src/encode/encode-page.ts';
import { MAX_EVENT_DEPTH } from '../../../src/encode/rows/event-encoder.ts';
import { rebuildEvent } from '../../../src/encode/rows/event-rebuilding.ts';
import { MAX_ID_BYTES } from '../../../src/encode/scan/ids.ts';
import { bytesOf, TEXT_COLUMNS, UUID_COLUMNS } from '../../unit/encode/rows/copy-stream-reader.ts';
import { encode, encoderDatabase, load } from './copy.ts';

const SAMPLES = 2000;

/** What the package exports: recorded payloads by event name. */
const WEBHOOKS = z.array(z.object({ name: z.string(), examples: z.array(z.record(z.string(), z.json())) }));

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Keys that have columns, their other spellings, and some that have none. */
const KEYS = [
  ...[
    'eventId',
    'event_id',
    'sessionId',
    'userId',
    'type',
    'eventType',
    'name',
    'properties',
    'timestamp',
    'occurredAt',
    'occurred_at',
  ],
  ...['session', 'level', 'x y', 'ä', '__proto__'],
];
const SESSION_KEYS = ['id', 'deviceType', 'browser', 'os'];

function eventOf(id: fc.Arbitrary<Json>): fc.Arbitrary<Record<string, Json>> {
  const text = fc
    .oneof(fc.constantFrom('a', 'b', '', '42', '1e3'), fc.string({ unit: 'grapheme' }))
    .map((value) => value.replaceAll('\0', ''));
  const value: fc.Arbitrary<Json> = fc.oneof(
    { weight: 4, arbitrary: fc.oneof(text, id) },
    { weight: 1, arbitrary: fc.constantFrom<Json>(null, true, 42, 1000, {}, [], { a: [1, null] }) },
  );
  const time: fc.Arbitrary<Json> = fc.constantFrom<Json>(
    1_767_225_600_000,
    '2026-01-01',
    '2026-01-01T00:00:00.000001Z',
    'never',
    null,
    0,
    '1767225600',
  );
  const session = fc.dictionary(fc.constantFrom(...SESSION_KEYS), value, { maxKeys: 4, noNullPrototype: true });
  const member = fc.constantFrom(...KEYS).chain((key): fc.Arbitrary<[string, Json]> => {
    const isTime = key === 'timestamp' || key.startsWith('occurred');
    return (isTime ? time : key === 'session' ? fc.oneof(session, value) : value).map((of) => [key, of]);
  });
  return fc.tuple(id, fc.array(member, { maxLength: 8 }), fc.boolean()).map(([eventId, members, withId]) => {
    const event = Object.fromEntries(members);
    return withId || !('eventId' in event) ? { id: eventId, ...event } : event;
  });
}

/** The event as it may differ after a round trip: times as instants, UUIDs as canonical. */
function normalised(value: Json, key = ''): Json {
  if (Array.isArray(value)) return value.map((element) => normalised(element));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value)
        .map(([name, member]): [string, Json] => [name, normalised(member, name)])
        .sort(([left], [right]) => (left < right ? -1 : 1)),
    );
  }
  if (['timestamp', 'occurredAt', 'occurred_at'].includes(key)) return instantOf(value);
  if (typeof value === 'string' && /^[0-9a-f-]{36}$/i.test(value)) return value.toLowerCase();
  return value;
}

function instantOf(value: Json): Json {
  if (value === null || value === 'never') return value;
  if (value === '1767225600') return 1_767_225_600_000;
  if (typeof value === 'number') return value;
  if (typeof value !== 'string') return value;
  // PostgreSQL's own spelling of the same instants, microseconds apart.
  const micros = /\.(\d{3})(\d{1,3})/.exec(value)?.[2] ?? '0';
  const ms = Date.parse(value.replace(' ', 'T').replace(/\+00$/, 'Z'));
  return ms + Number(micros.padEnd(3, '0')) / 1000;
}

describe('whole events in PostgreSQL', () => {
  for (const [name, options, id] of [
    ['text', TEXT_COLUMNS, fc.constantFrom<Json>('a', 'b', 'evt-1', '42', 42, 1000)],
    [
      'uuid',
      UUID_COLUMNS,
      fc.constantFrom<Json>(
        'af5c33c8-8aac-4aa0-9448-b07b52ddaf9f',
        'AF5C33C8-8AAC-4AA0-9448-B07B52DDAF9F',
        '0b4ef8bb-6d6b-49bd-b80a-11a0eebc999c',
      ),
    ],
  ] as const) {
    it(`can be rebuilt from their rows, ids in ${name} columns`, async (t) => {
      const client = await encoderDatabase(t);
      const events = fc.sample(eventOf(id), SAMPLES);
      const page = encode(
        events.map((event) => JSON.stringify(event)),
        options,
      );
      const rows = await load(client, page, options);
      assert.equal(rows.length, page.rowCount);
      for (const row of rows) {
        const event = events[row.position] ?? {};
        const rebuilt = JSON.parse(rebuildEvent(row)) as Json;
        assert.deepEqual(normalised(rebuilt), normalised(event), JSON.stringify({ event, row }));
      }
    });
  }

  it('keeps recorded GitHub webhooks, as properties and as whole events', async (t) => {
    const client = await encoderDatabase(t);
    const webhooks = WEBHOOKS.parse(createRequire(import.meta.url)('@octokit/webhooks-examples'));
    const payloads = webhooks.flatMap(({ name, examples }) => examples.map((example) => ({ name, example })));
    assert.ok(payloads.length > 100);
    const asProperties = payloads.map(({ name, example }, index) =>
      JSON.stringify({ id: `p${index}`, type: name, properties: example }, null, 2),
    );
    const asEvents = payloads.map(({ example }, index) => JSON.stringify({ ...example, id: `e${index}` }));
    const rows = await load(client, encode([...asProperties, ...asEvents], TEXT_COLUMNS), TEXT_COLUMNS);
    assert.equal(rows.length, payloads.length * 2);
    for (const [index, { name, example }] of payloads.entries()) {
      assert.equal(rows[index]?.type, name);
      assert.deepEqual(JSON.parse(rows[index].properties ?? ''), example);
      const row = rows[payloads.length + index];
      assert.ok(row);
      assert.deepEqual(JSON.parse(rebuildEvent(row)), JSON.parse(asEvents[index] ?? ''));
    }
  });

  it('loads the page around a poison event in any position, whatever it is', async (t) => {
    const client = await encoderDatabase(t);
    const deep = '['.repeat(100_000) + ']'.repeat(100_000);
    const poisons = [
      'null',
      '7',
      '{}',
      '{"id":"\\u0000"}',
      `{"id":"x","properties":${deep}}`,
      '{"id":"x","name":"\\ud800","properties":"\\u0000"}',
      `{"id":"${'x'.repeat(MAX_ID_BYTES + 1)}"}`,
    ];
    const healthy = Array.from({ length: 4 }, (_, index) => `{"id":"healthy-${index}"}`);
    for (const poison of poisons) {
      for (const positions of [[0], [2], [4], [0, 1, 4]]) {
        const events = [...healthy];
        for (const position of positions) events.splice(position, 0, poison);
        const page = encode(events, TEXT_COLUMNS);
        const rows = await load(client, page, TEXT_COLUMNS);
        assert.deepEqual(
          rows.filter(({ id }) => id.startsWith('healthy')).map(({ id }) => id),
          ['healthy-0', 'healthy-1', 'healthy-2', 'healthy-3'],
        );
        assert.deepEqual([...new Set(page.anomalies.map(({ position }) => position))], positions);
        for (const anomaly of page.anomalies) assert.equal(Buffer.from(anomaly.original).toString(), poison);
      }
    }
  });

  it('loads a page of nothing but poison as no rows, with each event set aside', async (t) => {
    const client = await encoderDatabase(t);
    const page = encode(
      Array.from({ length: 5000 }, () => '{"id":null}'),
      TEXT_COLUMNS,
    );
    assert.equal(page.anomalies.length, 5000);
    assert.deepEqual(await load(client, page, TEXT_COLUMNS), []);
  });

  it('loads an event as deep as the bound allows, and the longest id into a primary key', async (t) => {
    const client = await encoderDatabase(t);
    const levels = MAX_EVENT_DEPTH - 1;
    const deep = '{"a":['.repeat(levels / 2) + ']}'.repeat(levels / 2);
    const id = Buffer.from(
      Array.from({ length: MAX_ID_BYTES }, () => 0x21 + Math.floor(Math.random() * 94)).map((byte) =>
        byte === 0x22 || byte === 0x5c ? 0x61 : byte,
      ),
    ).toString();
    const events = [`{"id":"deep","properties":${deep}}`, `{"id":"deep-extra","x":${deep}}`, JSON.stringify({ id })];
    const rows = await load(client, encode(events, TEXT_COLUMNS), TEXT_COLUMNS);
    assert.equal(rows[0]?.properties?.replaceAll(/\s/g, ''), deep);
    assert.equal(rows.length, 3);
    await client.query('CREATE TEMPORARY TABLE keyed (id text PRIMARY KEY)');
    await client.query('INSERT INTO keyed VALUES ($1)', [rows[2]?.id]);
    await assert.rejects(client.query('INSERT INTO keyed VALUES ($1)', [`${id}!`]), { code: '54000' });
  });

  it('does not let an error in one page leak into the next', () => {
    assert.ok('fault' in encodePage(bytesOf('{"data":[{"id":"a","name":"\\u0000"'), TEXT_COLUMNS));
    assert.equal(encode(['{"id":"a"}'], TEXT_COLUMNS).anomalies.length, 0);
  });
});
