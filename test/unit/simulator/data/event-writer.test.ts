import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  EventWriter,
  MAX_GENERATED_EVENT_BYTES,
  type EventPlan,
  type SpecialEvent,
} from '../../../../src/simulator/data/event-writer.ts';
import { parseSettings, timestampFormats } from '../../../../src/simulator/settings.ts';
import { timestampJson, writeTimestamp } from '../../../../src/simulator/data/timestamp-text.ts';

const plan = (serial: number): EventPlan => ({
  serial,
  idHead: (serial * 77_777) >>> 0,
  micros: 1_769_541_612_369_000 - serial,
  format: timestampFormats[serial % timestampFormats.length] ?? 'ms',
});

function write(settings: object, serial: number): { text: string; special: SpecialEvent[] } {
  const target = Buffer.alloc(MAX_GENERATED_EVENT_BYTES);
  const special: SpecialEvent[] = [];
  const end = new EventWriter(parseSettings({ events: 1_000, ...settings })).write(target, 0, plan(serial), (event) =>
    special.push(event),
  );
  assert.equal(target[end - 1], ','.charCodeAt(0));
  return { text: target.toString('utf8', 0, end - 1), special };
}

test('the fast and the slow way write the same event, apart from the extra fields of the slow one', () => {
  for (const shape of [
    {},
    { ids: 'number' },
    { ids: 'event-text', idField: 'eventId', timeField: 'occurredAt', session: false },
  ]) {
    for (let serial = 1; serial < 60; serial += 1) {
      const usual = write(shape, serial).text;
      const extended = write({ ...shape, extraFields: 1 }, serial).text;
      assert.ok(extended.startsWith(`${usual.slice(0, -1)},`), `${usual}\n${extended}`);
      JSON.parse(extended);
    }
  }
});

test('special events are JSON, and those without a usable id or time are reported', () => {
  for (const kind of ['missingFields', 'nasty', 'badIds', 'badTimes']) {
    for (let serial = 1; serial < 100; serial += 1) {
      const { text, special } = write({ [kind]: 1 }, serial);
      JSON.parse(text);
      assert.equal(special.length, kind === 'badIds' || kind === 'badTimes' ? 1 : 0);
      if (kind === 'badIds') assert.equal(special[0]?.id, null);
      if (kind === 'badTimes') assert.equal(special[0]?.occurredAtMicros, null);
    }
  }
});

test('times written as bytes are the same as times written as text', () => {
  const target = Buffer.alloc(64);
  fc.assert(
    fc.property(
      fc.integer({ min: -2_000_000_000_000_000, max: 4_102_444_800_000_000 }),
      fc.constantFrom(...timestampFormats),
      (micros, format) => {
        const end = writeTimestamp(target, 0, micros, format);
        assert.equal(target.toString('latin1', 0, end), timestampJson(micros, format));
      },
    ),
    { numRuns: 1_000 },
  );
});
