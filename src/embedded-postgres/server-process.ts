/** The processes of a cluster on this machine: whether its server runs, on which port, and what is left of a killed one. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, readdir, readlink, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { isErrno } from './files.ts';

const run = promisify(execFile);

export interface ServerProcess {
  readonly pid: number;
  readonly port: number;
  /** It takes connections; else it starts, recovers from a crash, or stops. */
  readonly isReady: boolean;
}

/** The server of this cluster that is alive now; `null` when there is none (a stale file counts as none). */
export async function runningServer(dataDir: string): Promise<ServerProcess | null> {
  const file = await readPostmasterFile(dataDir);
  return file !== null && (await isServerOf(file.pid, dataDir)) ? file : null;
}

/** What postmaster.pid says, where the server writes its own state down. */
export async function readPostmasterFile(dataDir: string): Promise<ServerProcess | null> {
  let text: string;
  try {
    text = await readFile(join(dataDir, 'postmaster.pid'), 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  }
  // Lines: pid, data directory, start time, port, socket folder, address, shared memory, status.
  const lines = text.split('\n');
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 0) return null;
  return { pid, port: Number(lines[3] ?? 0), isReady: lines[7]?.trim() === 'ready' };
}

/**
 * Whether the process is a PostgreSQL process that works in this folder. After a crash of the machine, or in a new
 * container, the number in postmaster.pid may belong to any process; and a server that its parent did not wait for stays a zombie.
 */
export async function isServerOf(pid: number, dataDir: string): Promise<boolean> {
  if (process.platform !== 'linux') {
    const { stdout } = await run('ps', ['-o', 'command=', '-p', String(pid)]).catch(() => ({ stdout: '' }));
    return stdout.includes(dataDir);
  }
  // Empty for a zombie.
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  if (!basename(command.split('\0')[0] ?? '').startsWith('postgres')) return false;
  try {
    return (await readlink(`/proc/${pid}/cwd`)) === dataDir;
  } catch {
    // Root without CAP_SYS_PTRACE (containers) may not follow another user's link.
    return command.includes(dataDir);
  }
}

/**
 * How many processes of this cluster are there. When its server was killed they still hold its shared memory, so that
 * a new one cannot start.
 */
export async function countProcesses(dataDir: string): Promise<number> {
  if (process.platform !== 'linux') return 0;
  let count = 0;
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (Number.isInteger(pid) && (await isServerOf(pid, dataDir))) count += 1;
  }
  return count;
}

/**
 * PostgreSQL deals with a stale postmaster.pid itself, except when its number now belongs to another process: then
 * PostgreSQL believes that its server lives. (It finds backends that survived their server by their shared memory.)
 */
export async function removeMisleadingFile(dataDir: string): Promise<void> {
  const stale = await readPostmasterFile(dataDir);
  if (stale === null || !hasNumber(stale.pid) || (await isServerOf(stale.pid, dataDir))) return;
  const path = join(dataDir, 'postmaster.pid');
  const aside = `${path}.${randomBytes(4).toString('hex')}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return;
    throw error;
  }
  // Another start may have removed the stale file first: then this is the file of the server it has just started.
  const moved = Number((await readFile(aside, 'utf8')).split('\n', 1)[0]);
  if (moved === stale.pid) await rm(aside);
  else await rename(aside, path);
}

/**
 * When the process began, as the system writes it down; `null` when it does not run, and for a zombie. Numbers are used
 * again: a process is the same one only with the same start.
 */
export async function startOfProcess(pid: number): Promise<string | null> {
  if (process.platform !== 'linux') {
    const { stdout } = await run('ps', ['-o', 'lstart=', '-p', String(pid)]).catch(() => ({ stdout: '' }));
    return stdout.trim() || null;
  }
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // State and start are the third and the 22nd field; the second one, the name in parentheses, may hold spaces.
  const fields = status.slice(status.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
}

/** Whether a process has this number, zombies included. */
function hasNumber(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: there, and another user's.
    return isErrno(error, 'EPERM');
  }
}
