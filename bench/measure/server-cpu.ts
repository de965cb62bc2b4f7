/**
 * CPU seconds of a PostgreSQL server by what its processes did: read from /proc, so only on Linux. The total is exact
 * (children that ended are counted by the kernel); the parts come from looking every 200 ms, by process title.
 */
import { readFile, readdir } from 'node:fs/promises';
import { cpuSecondsOf, parentOf, reapedCpuSecondsOf } from './processes.ts';

const LOOK_EVERY_MS = 200;

export interface ServerCpu {
  readonly copy: number;
  readonly merge: number;
  /** Checkpointer, WAL writer, background writer, autovacuum. */
  readonly background: number;
}

interface Seen {
  readonly baseline: number;
  latest: number;
  part: 'copy' | 'merge' | 'background';
}

export class ServerCpuMeter {
  readonly #pid: number;
  readonly #seen = new Map<number, Seen>();
  readonly #strangers = new Set<number>();
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<void> = Promise.resolve();
  #reapedBefore = 0;

  private constructor(pid: number) {
    this.#pid = pid;
  }

  /** Begins to measure; null where there is no /proc. */
  static async start(serverPid: number): Promise<ServerCpuMeter | null> {
    const reaped = await reapedCpuSecondsOf(serverPid);
    if (reaped === null) return null;
    const meter = new ServerCpuMeter(serverPid);
    meter.#reapedBefore = reaped;
    await meter.#look(true);
    meter.#timer = setInterval(() => {
      meter.#looking = meter.#looking.then(() => meter.#look(false));
    }, LOOK_EVERY_MS);
    return meter;
  }

  async stop(): Promise<ServerCpu> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#looking;
    await this.#look(false);
    const parts = { copy: 0, merge: 0, background: 0 };
    let living = 0;
    for (const [pid, { baseline, latest, part }] of this.#seen) {
      parts[part] += latest - baseline;
      if ((await cpuSecondsOf(pid)) !== null) living += latest - baseline;
    }
    const reaped = ((await reapedCpuSecondsOf(this.#pid)) ?? this.#reapedBefore) - this.#reapedBefore;
    // What processes did between the last look and their end belongs to the clients: only they end.
    const unseen = Math.max(0, living + reaped - parts.copy - parts.merge - parts.background);
    const clients = parts.copy + parts.merge;
    if (clients === 0) return { ...parts, merge: unseen };
    return {
      copy: parts.copy + (unseen * parts.copy) / clients,
      merge: parts.merge + (unseen * parts.merge) / clients,
      background: parts.background,
    };
  }

  async #look(isFirst: boolean): Promise<void> {
    const names = await readdir('/proc');
    const pids = names.filter((name) => /^\d+$/.test(name)).map(Number);
    await Promise.all(pids.map((pid) => this.#lookAt(pid, isFirst)));
  }

  async #lookAt(pid: number, isFirst: boolean): Promise<void> {
    if (this.#strangers.has(pid)) return;
    if (!this.#seen.has(pid) && (await parentOf(pid)) !== this.#pid) {
      this.#strangers.add(pid);
      return;
    }
    const seconds = await cpuSecondsOf(pid);
    if (seconds === null) return;
    const seen = this.#seen.get(pid) ?? { baseline: isFirst ? seconds : 0, latest: seconds, part: 'background' };
    seen.latest = seconds;
    seen.part = partOf(await titleOf(pid), seen.part);
    this.#seen.set(pid, seen);
  }
}

/** A COPY connection is told by its COPY, which it does again and again; every other client's work is the merge's. */
function partOf(title: string, before: Seen['part']): Seen['part'] {
  if (before === 'copy' || / COPY/.test(title)) return 'copy';
  return /\d+\.\d+\.\d+\.\d+\(|\[local\]|parallel worker/.test(title) ? 'merge' : before;
}

async function titleOf(pid: number): Promise<string> {
  try {
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ');
  } catch {
    return '';
  }
}
