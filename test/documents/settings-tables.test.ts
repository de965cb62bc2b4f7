import assert from 'node:assert/strict';
import { test } from 'node:test';
import { envExample, settingsByGroup, settingsNamed } from '../../scripts/settings-tables.ts';
import { SETTINGS } from '../../src/core/settings-table.ts';

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
