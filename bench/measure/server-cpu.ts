/**
 * CPU seconds of a PostgreSQL server by the work of its processes, read from /proc, so only on Linux. The total is exact,
 * because the kernel counts children that have ended. The parts come from a look at the process titles every 200 ms.
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

  /** Starts measuring; null where there is no /proc. */
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
    // Only client processes end, so what was done between a last look and an end belongs to them.
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

/** A connection that was once seen in a COPY is a COPY connection; the work of every other client is the merge's. */
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
