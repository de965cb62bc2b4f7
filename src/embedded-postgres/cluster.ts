/**
 * One PostgreSQL cluster on this machine: made, started, stopped. Knows nothing of jobs or databases.
 *
 * The server is started directly, without pg_ctl, in a session of its own, so that Ctrl-C in the job's terminal does not
 * reach it, and it outlives a job that is killed.
 */
import { execFile, spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { chown, mkdtemp, open, readFile, readdir, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ConfigurationError, GaveUpError, describeError } from '../core/errors.ts';
import { programOptions, type ServerAccount } from './account.ts';
import type { PostgresBinaries } from './binaries.ts';
import { exists, isErrno } from './files.ts';
import {
  countProcesses,
  isServerOf,
  readPostmasterFile,
  removeMisleadingFile,
  runningServer,
  startOfProcess,
} from './server-process.ts';
import type { ServerSettings } from './server-settings.ts';

const run = promisify(execFile);

export const SUPERUSER = 'postgres';
const PASSWORD_FILE = 'datasync-password';
const LOG_FILE = 'datasync-server.log';
/** Above this the server's log is put aside at the next start, bytes. */
const LOG_LIMIT_BYTES = 10 * 1024 * 1024;
/** Parallel plans and index builds share memory in /dev/shm, hash tables too; containers often have only 64 MiB there. */
const SMALL_SHARED_MEMORY_BYTES = 512 * 1024 * 1024;
/** What an initdb that was killed has left behind is removed after this. */
const ABANDONED_AFTER_MS = 3_600_000;
const POLL_MS = 20;
/** A crash recovery reads the whole WAL since the last checkpoint first. */
const READY_WITHIN_MS = 300_000;
const STOPPED_WITHIN_MS = 120_000;
const START_ATTEMPTS = 4;
/** A backend that survived its server ends when it next looks, at the latest after its statement. */
const BACKENDS_GONE_WITHIN_MS = 120_000;
/** Below the ports that Linux gives to outgoing connections. The server ends when its port is taken, and is started on another. */
const [LOWEST_PORT, HIGHEST_PORT] = [20_000, 32_767];

export interface Cluster {
  /** Resolved path; the same in every process, so that it can be compared. */
  readonly dataDir: string;
  readonly binaries: PostgresBinaries;
  readonly account: ServerAccount | null;
}

export type ShutdownMode = 'fast' | 'immediate';
const SHUTDOWN_SIGNALS: Record<ShutdownMode, NodeJS.Signals> = { fast: 'SIGINT', immediate: 'SIGQUIT' };

/**
 * Makes a cluster (UTF-8, C locale, password needed even from this machine) unless there is one. Safe when several
 * processes do it at once: each makes its own beside the place, and the first to rename it there wins.
 */
export async function createCluster(cluster: Cluster, options: { sync: boolean }): Promise<void> {
  const { dataDir, binaries, account } = cluster;
  if (await exists(join(dataDir, 'PG_VERSION'))) return;
  await removeAbandoned(dataDir);
  const workshop = await mkdtemp(`${dataDir}.new-`);
  const passwordFile = join(workshop, PASSWORD_FILE);
  const unfinished = join(workshop, 'cluster');
  try {
    await writeFile(passwordFile, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600 });
    if (account !== null) {
      await chown(passwordFile, account.uid, account.gid);
      await chown(workshop, account.uid, account.gid);
    }
    const flags = ['--encoding=UTF8', '--locale=C', '--auth=scram-sha-256', `--username=${SUPERUSER}`];
    const paths = [`--pwfile=${passwordFile}`, `--pgdata=${unfinished}`];
    await run(binaries.initdb, [...flags, ...paths, ...(options.sync ? [] : ['--no-sync'])], programOptions(account));
    // Inside the cluster from here on: cluster and password appear together, or not at all.
    await rename(passwordFile, join(unfinished, PASSWORD_FILE));
    await rename(unfinished, dataDir);
  } catch (cause) {
    if (await exists(join(dataDir, 'PG_VERSION'))) return;
    throw new ConfigurationError(
      `The embedded database could not be made in ${dataDir}: ${describeError(cause)}. Nothing is left of it. ` +
        'Make room or another folder for it, or set DATABASE_URL.',
      { cause },
    );
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
}

async function removeAbandoned(dataDir: string): Promise<void> {
  const parent = dirname(dataDir);
  for (const name of await readdir(parent)) {
    if (!name.startsWith(`${basename(dataDir)}.new-`)) continue;
    const made = await stat(join(parent, name)).catch(() => null);
    if (made === null || Date.now() - made.mtimeMs < ABANDONED_AFTER_MS) continue;
    await rm(join(parent, name), { recursive: true, force: true });
  }
}

/** @throws ConfigurationError when the file is empty: a power cut can do that to a file that was just made */
export async function readPassword(dataDir: string): Promise<string> {
  const path = join(dataDir, PASSWORD_FILE);
  const password = (await readFile(path, 'utf8')).trim();
  if (password !== '') return password;
  throw new ConfigurationError(
    `${path}, the password of the embedded database, is empty. Nothing was changed. ` +
      `Put the folder ${dataDir} aside to begin anew, or set DATABASE_URL.`,
  );
}

/** @throws ConfigurationError when the cluster is another major version's: PostgreSQL cannot read those. */
export async function checkVersion({ dataDir, binaries }: Cluster): Promise<void> {
  const version = Number((await readFile(join(dataDir, 'PG_VERSION'), 'utf8')).trim());
  if (version === binaries.majorVersion) return;
  throw new ConfigurationError(
    `The embedded database in ${dataDir} was made by PostgreSQL ${version}, and PostgreSQL ${binaries.majorVersion} is installed. ` +
      'Nothing was changed. Put the folder aside to begin anew, or set DATABASE_URL.',
  );
}

export interface StartOptions {
  /** Fixed port. Default: a free one. */
  readonly port?: number | undefined;
  readonly settings?: ServerSettings;
  /** Further ones; when the server does not start with them, the last group is left out, then the one before it. */
  readonly wishes?: readonly ServerSettings[];
  readonly onWaiting?: (what: string) => void;
}

interface StartedServer {
  readonly pid: number;
  readonly port: number;
  /** Else it was running already. */
  readonly started: boolean;
  /** Names of the settings without which it had to start. */
  readonly without: readonly string[];
}

/**
 * Starts the server and waits until it takes connections. Safe when several processes do it at once: PostgreSQL's own
 * lock lets one server in, and everybody gets that one.
 * @throws GaveUpError with the end of the server's log when it does not start.
 */
export async function startServer(cluster: Cluster, options: StartOptions = {}): Promise<StartedServer> {
  const { dataDir } = cluster;
  const wishes = [...(options.wishes ?? [])];
  const without: string[] = [];
  const backendsDeadline = performance.now() + BACKENDS_GONE_WITHIN_MS;
  let failures = 0;
  let isWaiting = false;
  while (failures < START_ATTEMPTS) {
    const running = await runningServer(dataDir);
    if (running !== null) {
      if (await untilReady(dataDir, running.pid)) {
        return { pid: running.pid, port: running.port, started: false, without };
      }
      continue;
    }
    // Before the start: those that keep it from succeeding may be gone when it has failed.
    const backends = (await readPostmasterFile(dataDir)) === null ? 0 : await countProcesses(dataDir);
    await removeMisleadingFile(dataDir);
    const port = options.port ?? randomInt(LOWEST_PORT, HIGHEST_PORT + 1);
    const pid = await spawnServer(cluster, port, [...wishes, options.settings ?? {}]);
    if (await untilReady(dataDir, pid)) return { pid, port, started: true, without };
    if ((await runningServer(dataDir)) !== null) continue;

    if (backends > 0 && performance.now() < backendsDeadline) {
      if (!isWaiting) options.onWaiting?.(`${backends} processes of a killed server in ${dataDir} are finishing`);
      isWaiting = true;
      await delay(250);
    } else {
      failures += 1;
      without.push(...Object.keys(wishes.pop() ?? {}));
      await delay(100 * failures);
    }
  }
  throw new GaveUpError(
    `The embedded database in ${dataDir} did not start. Its log ends with:\n${await endOfLog(dataDir)}\n` +
      'Its rows are untouched. Put right what the log says, or set DATABASE_URL.',
  );
}

async function spawnServer(
  { dataDir, binaries, account }: Cluster,
  port: number,
  settings: readonly ServerSettings[],
): Promise<number> {
  // A socket's path may have 107 bytes, a project's folder more.
  const reachable: ServerSettings = { listen_addresses: '127.0.0.1', unix_socket_directories: '' };
  const all = [reachable, await sharedMemorySettings(), ...settings].flatMap((group) => Object.entries(group));
  const flags = all.flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const logPath = join(dataDir, LOG_FILE);
  const oldLog = await stat(logPath).catch(() => null);
  if (oldLog !== null && oldLog.size > LOG_LIMIT_BYTES) await rename(logPath, `${logPath}.old`);
  const log = await open(logPath, 'a', 0o600);
  try {
    const child = spawn(binaries.postgres, ['-D', dataDir, '-p', String(port), ...flags], {
      ...programOptions(account),
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    });
    const pid = await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('spawn', () => {
        if (child.pid !== undefined) resolve(child.pid);
      });
    });
    child.unref();
    return pid;
  } catch (cause) {
    throw new ConfigurationError(`${binaries.postgres} could not be run: ${describeError(cause)}.`, { cause });
  } finally {
    await log.close();
  }
}

async function sharedMemorySettings(): Promise<ServerSettings> {
  if (process.platform !== 'linux') return {};
  const memory = await statfs('/dev/shm').catch(() => null);
  const isLarge = memory !== null && memory.bavail * memory.bsize >= SMALL_SHARED_MEMORY_BYTES;
  return isLarge ? {} : { dynamic_shared_memory_type: 'mmap' };
}

/** True when that server takes connections, false when it ended first. @throws GaveUpError after five minutes. */
async function untilReady(dataDir: string, pid: number): Promise<boolean> {
  const deadline = performance.now() + READY_WITHIN_MS;
  while (performance.now() < deadline) {
    const file = await readPostmasterFile(dataDir);
    if (file?.pid === pid && file.isReady) return true;
    // One that we started ends at once when another server holds the cluster; the caller then waits for the other.
    if ((await startOfProcess(pid)) === null) return false;
    await delay(POLL_MS);
  }
  throw new GaveUpError(
    `The embedded database in ${dataDir} (process ${pid}) is not ready after ${READY_WITHIN_MS / 60_000} minutes. Its log ends with:\n` +
      `${await endOfLog(dataDir)}\nIt is still running; start again later.`,
  );
}

/** Asks the server to end and waits until it has. @throws GaveUpError when it takes longer than two minutes. */
export async function stopServer(dataDir: string, mode: ShutdownMode): Promise<void> {
  const running = await runningServer(dataDir);
  if (running === null) return;
  try {
    process.kill(running.pid, SHUTDOWN_SIGNALS[mode]);
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
  await untilStopped(dataDir, running.pid);
}

/** Waits until that server has ended. @throws GaveUpError when it takes longer than two minutes. */
export async function untilStopped(dataDir: string, pid: number): Promise<void> {
  const deadline = performance.now() + STOPPED_WITHIN_MS;
  while (await isServerOf(pid, dataDir)) {
    if (performance.now() > deadline) {
      throw new GaveUpError(
        `The embedded database in ${dataDir} (process ${pid}) is still shutting down; start again later.`,
      );
    }
    await delay(POLL_MS);
  }
}

/** The last eight lines of the server's log. */
export async function endOfLog(dataDir: string): Promise<string> {
  const text = await readFile(join(dataDir, LOG_FILE), 'utf8').catch(() => '');
  return text.trimEnd().split('\n').slice(-8).join('\n');
}
