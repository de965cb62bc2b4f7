import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  applySettings,
  isFixedSetting,
  parseSettings,
  settingDescription,
  settingNames,
} from '../../../src/simulator/settings.ts';

test("the defaults are the contract's", () => {
  const { events, sessions, users, days, eventsLimit, eventsWindow, cursorTtl, pageCap, defaultLimit } = parseSettings(
    {},
  );
  assert.deepEqual(
    { events, sessions, users, days, eventsLimit, eventsWindow, cursorTtl, pageCap, defaultLimit },
    {
      events: 3_000_000,
      sessions: 60_000,
      users: 3_000,
      days: 30,
      eventsLimit: 10,
      eventsWindow: 60,
      cursorTtl: 116,
      pageCap: 5_000,
      defaultLimit: 100,
    },
  );
});

test('text and typed values mean the same', () => {
  assert.deepEqual(
    parseSettings({
      events: '7',
      chunked: 'true',
      timestamps: 'ms, nanos',
      compression: 'gzip,br',
      faults: '429=0.1,hang=0.02',
      faultPlan: '3:reset,stream/4:cut-body',
    }),
    parseSettings({
      events: 7,
      chunked: true,
      timestamps: ['ms', 'nanos'],
      compression: ['gzip', 'br'],
      faults: { '429': 0.1, hang: 0.02 },
      faultPlan: [
        { on: 'page', nth: 3, fault: 'reset' },
        { on: 'stream', nth: 4, fault: 'cut-body' },
      ],
    }),
  );
  assert.equal(parseSettings({ newest: '2026-01-27T19:20:12.369Z' }).newest, parseSettings({}).newest);
});

test('what is unknown or out of range is refused', () => {
  for (const bad of [
    { evnts: 1 },
    { events: -1 },
    { staleAs: '499' },
    { faults: 'reset=2' },
    { faultPlan: 'x' },
    { timestamps: 'sundial' },
  ]) {
    assert.throws(() => parseSettings(bad), JSON.stringify(bad));
  }
});

test('settings of the data set are fixed once it exists, others change', () => {
  const settings = parseSettings({ latency: 5 });
  assert.throws(() => applySettings(settings, { events: 1 }), RangeError);
  assert.deepEqual(applySettings(settings, { latency: 9 }), { ...settings, latency: 9 });
  assert.ok(isFixedSetting('seed') && !isFixedSetting('eventsLimit'));
});

test('every setting says what it does', () => {
  for (const name of settingNames) assert.ok(settingDescription(name).length > 3, name);
});
