import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DatabaseWaits } from '../../../../src/load/postgres/database-waits.ts';

void test('the newest reason that still holds is shown, and nothing once all have ended', () => {
  const shown: (string | null)[] = [];
  const waits = new DatabaseWaits((reason) => shown.push(reason));
  const endLock = waits.begin('a lock');
  const endOutage = waits.begin('an outage');
  endLock();
  endLock();
  endOutage();
  assert.deepEqual(shown, ['a lock', 'an outage', 'an outage', null]);
});
