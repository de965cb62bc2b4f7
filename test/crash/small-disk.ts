/** A small file system that a test can fill to its last byte, and free again. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { chown, mkdtemp, realpath, rm, rmdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { TestCluster } from '../support/database.ts';

/** A new database takes 8 MB; no test fills the rest with data. */
const DISK_MB = 64;
const BLOCK_BYTES = 2 ** 20;

export class SmallDisk {
  readonly folder: string;
  readonly #filler: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.#filler = join(folder, 'filler');
  }

  /** Mounts a disk that belongs to the cluster's account until the test ends. @returns why, where the machine refuses it */
  static async mount(t: TestContext, cluster: TestCluster): Promise<SmallDisk | { readonly why: string }> {
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'datasync-disk-')));
    const { status, stderr, error } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MB}m`, 'tmpfs', folder], {
      encoding: 'utf8',
    });
    if (status !== 0) {
      await rmdir(folder);
      return {
        why: `this machine does not let the test mount a small file system: ${error?.message ?? stderr.trim()}`,
      };
    }
    // One hook for both, because hooks run in the order they were made: a mounted folder cannot be removed.
    t.after(async () => {
      spawnSync('umount', ['-l', folder]);
      await rmdir(folder);
    });
    const { uid, gid } = await stat(cluster.dataDir);
    await chown(folder, uid, gid);
    return new SmallDisk(folder);
  }

  /** Fills the rest without a pause, although it blocks the API in this process. */
  fill(): void {
    const file = openSync(this.#filler, 'w');
    const block = Buffer.alloc(BLOCK_BYTES, 'x');
    try {
      // The last block is written in part before ENOSPC comes.
      for (;;) writeSync(file, block);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
    } finally {
      closeSync(file);
    }
  }

  async makeRoom(): Promise<void> {
    await rm(this.#filler);
  }
}
