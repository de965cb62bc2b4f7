import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SETTINGS, commandLine, readSettings } from '../../../src/core/config.ts';
import { envExample, settingsByGroup, settingsNamed } from '../../../src/core/settings-document.ts';

const ALL_GROUPS = [...new Set(SETTINGS.map((setting) => setting.group))];

test('no two settings share a variable or a flag', () => {
  for (const key of ['variable', 'flag'] as const) {
    assert.equal(new Set(SETTINGS.map((setting) => setting[key])).size, SETTINGS.length);
  }
});

test('a switch that is turned on turns on nothing else', () => {
  const switches = SETTINGS.filter((setting) => setting.isSwitch);
  assert.ok(switches.length >= 5);
  for (const setting of switches) {
    const settings: Readonly<Record<string, unknown>> = readSettings(commandLine('test', '', ALL_GROUPS), [], {
      [setting.variable]: '1',
    });
    const on = switches.filter(({ name }) => settings[name] === true).map(({ name }) => name);
    assert.deepEqual(on, [setting.name]);
  }
});

test('the tables have a line for each setting, and those named in their order', () => {
  const tables = settingsByGroup(3);
  for (const setting of SETTINGS) assert.ok(tables.includes(`\`${setting.variable}\``), setting.variable);
  const named = settingsNamed(['pageSize', 'concurrency']).split('\n');
  assert.match(named[2] ?? '', /`--page-size` \| `BATCH_SIZE` \| `5000` events/);
  assert.match(named[3] ?? '', /`--concurrency`/);
  assert.throws(() => settingsNamed(['noSuchSetting']), /noSuchSetting/);
});

test('documents do not depend on the machine that writes them', () => {
  assert.match(settingsNamed(['threads']), /\| the cores \|/);
  assert.match(envExample(), /^#WORKER_THREADS=$/m);
});
