/**
 * How the embedded server is set up: for many rows at once, on a machine that other programs need, too. Nothing here makes it less
 * durable. docs/operations.md has the same two lists, for a server of one's own.
 */
import { statfs } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join } from 'node:path';

/** Server settings, as for `postgres -c`. */
export type ServerSettings = Readonly<Record<string, string>>;

const MB = 1024 ** 2;
const GB = 1024 ** 3;

/**
 * What a start of this cluster asks for, most dispensable last: a folder may have been given something that does not go
 * with it, as an archive of the WAL does not go with `wal_level=minimal`.
 */
export async function settingsForJob(dataDir: string): Promise<readonly ServerSettings[]> {
  const disk = await statfs(join(dataDir, 'pg_wal')).catch(() => ({ bavail: 0, bsize: 0 }));
  // 0 or more than there is where nothing limits this process.
  const limit = process.constrainedMemory();
  const memoryBytes = limit > 0 ? Math.min(limit, totalmem()) : totalmem();
  return settingsFor({ memoryBytes, freeDiskBytes: disk.bavail * disk.bsize });
}

/**
 * Pure. A cache beyond 1 GB is not asked for: a stop has to write what it holds. The WAL gets a quarter of the disk at most, but
 * never less than PostgreSQL's own 1 GB.
 */
export function settingsFor({
  memoryBytes,
  freeDiskBytes,
}: {
  readonly memoryBytes: number;
  readonly freeDiskBytes: number;
}): readonly ServerSettings[] {
  return [
    {
      shared_buffers: megabytes(memoryBytes / 4, 16 * MB, GB),
      maintenance_work_mem: megabytes(memoryBytes / 16, 64 * MB, 512 * MB),
      work_mem: megabytes(memoryBytes / 128, 4 * MB, 64 * MB),
      max_wal_size: megabytes(freeDiskBytes / 4, GB, 8 * GB),
      checkpoint_timeout: '30min',
    },
    // Rows of a table that the same transaction has emptied are then written once, not twice. A small file is logged all the same, whole:
    // to wait for the disk to have it made a merge of 60,000 rows twice as long.
    { wal_level: 'minimal', max_wal_senders: '0', wal_skip_threshold: '32MB' },
  ];
}

function megabytes(bytes: number, least: number, most: number): string {
  return `${Math.floor(Math.min(Math.max(bytes, least), most) / MB)}MB`;
}
