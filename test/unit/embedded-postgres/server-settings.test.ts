import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settingsFor } from '../../../src/embedded-postgres/server-settings.ts';

const MB = 1024 ** 2;
const GB = 1024 ** 3;

test('a server takes no more of a small container or a full disk than they can give, and no more of large ones than pays', () => {
  const sizes = (memoryBytes: number, freeDiskBytes: number): (string | undefined)[] => {
    const [all] = settingsFor({ memoryBytes, freeDiskBytes });
    return [all?.['shared_buffers'], all?.['maintenance_work_mem'], all?.['work_mem'], all?.['max_wal_size']];
  };
  assert.deepEqual(sizes(128 * MB, 0), ['32MB', '64MB', '4MB', '1024MB']);
  assert.deepEqual(sizes(512 * MB, 10 * GB), ['128MB', '64MB', '4MB', '2560MB']);
  assert.deepEqual(sizes(2 * GB, 32 * GB), ['512MB', '128MB', '16MB', '8192MB']);
  assert.deepEqual(sizes(24 * GB, 100 * GB), ['1024MB', '512MB', '64MB', '8192MB']);
  assert.deepEqual(sizes(1024 * GB, 4096 * GB), ['1024MB', '512MB', '64MB', '8192MB']);
});
