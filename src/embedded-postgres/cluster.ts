/**
 * One PostgreSQL cluster on this machine: made, started, watched, stopped. Knows nothing of jobs or databases.
 *
 * The server is started directly, without pg_ctl, in a session of its own, so that Ctrl-C in the job's terminal does not
 * reach it, and it outlives a job that is killed.
 */
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmod,
  chown,
  mkdir,
  open,
  readFile,
  readdir,
  readlink,
  realpath,
  rename,
  rm,
  stat,
  statfs,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ConfigurationError, GaveUpError, describeError } from '../core/errors.ts';
import { asAccount, type ServerAccount } from './account.ts';
import { SERVER_ENVIRONMENT, exists, isErrno, type PostgresBinaries } from './binaries.ts';

const run = promisify(execFile);

export const SUPERUSER = 'postgres';
const PASSWORD_FILE = 'datasync-password';
const LOG_FILE = 'datasync-server.log';
/** Above this the server's log is put aside at the next start, bytes. */
const LOG_LIMIT_BYTES = 10 * 1024 * 1024;
/** Parallel plans and index builds share memory there; containers often have only 64 MiB. */
const SMALL_SHARED_MEMORY_BYTES = 256 * 1024 * 1024;
/** A folder in which a cluster was being made, and whose maker is long dead. */
const ABANDONED_AFTER_MS = 60 * 60 * 1000;
const POLL_MS = 20;
/** A crash recovery reads the whole WAL since the last checkpoint first. */
const READY_WITHIN_MS = 300_000;
const STOPPED_WITHIN_MS = 120_000;
const START_ATTEMPTS = 4;
/** A backend that survived its postmaster ends when it next looks, at the latest after its statement. */
const ORPHANS_GONE_WITHIN_MS = 120_000;

export interface Cluster {
  /** Resolved path; the same in every process, so that it can be compared. */
  readonly dataDir: string;
  readonly binaries: PostgresBinaries;
  readonly account: ServerAccount | null;
}

export interface ServerProcess {
  readonly pid: number;
  readonly port: number;
}

/** What postmaster.pid says. The server keeps its own state there since PostgreSQL 10. */
export interface PostmasterFile extends ServerProcess {
  readonly status: 'starting' | 'stopping' | 'ready';
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
  const parent = dirname(dataDir);
  await removeAbandoned(parent, `${basename(dataDir)}.new-`);
  const workshop = join(parent, `${basename(dataDir)}.new-${randomBytes(4).toString('hex')}`);
  const passwordFile = join(workshop, PASSWORD_FILE);
  const unfinished = join(workshop, 'cluster');
  await mkdir(workshop);
  try {
    await chmod(workshop, 0o700);
    await writeFile(passwordFile, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600 });
    if (account !== null) {
      await chown(passwordFile, account.uid, account.gid);
      await chown(workshop, account.uid, account.gid);
    }
    const flags = ['--encoding=UTF8', '--locale=C', '--auth=scram-sha-256', `--username=${SUPERUSER}`];
    const paths = [`--pwfile=${passwordFile}`, `--pgdata=${unfinished}`];
    await run(binaries.initdb, [...flags, ...paths, ...(options.sync ? [] : ['--no-sync'])], {
      ...asAccount(account),
      cwd: '/',
      env: SERVER_ENVIRONMENT,
    });
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

async function removeAbandoned(parent: string, prefix: string): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(prefix)) continue;
    const path = join(parent, name);
    const age =
      Date.now() -
      (await stat(path).then(
        ({ mtimeMs }) => mtimeMs,
        () => Date.now(),
      ));
    if (age > ABANDONED_AFTER_MS) await rm(path, { recursive: true, force: true });
  }
}

export async function readPassword(dataDir: string): Promise<string> {
  return (await readFile(join(dataDir, PASSWORD_FILE), 'utf8')).trim();
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

/** The server of this cluster that is alive now; `null` when there is none (a stale file counts as none). */
export async function runningServer(dataDir: string): Promise<PostmasterFile | null> {
  const file = await readPostmasterFile(dataDir);
  return file !== null && (await isServerOf(file.pid, dataDir)) ? file : null;
}

async function readPostmasterFile(dataDir: string): Promise<PostmasterFile | null> {
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
  const status = lines[7]?.trim();
  return {
    pid,
    port: Number(lines[3] ?? 0),
    status: status === 'ready' || status === 'stopping' ? status : 'starting',
  };
}

/**
 * Whether the process is a PostgreSQL server that works in this folder. After a crash of the machine, or in a new
 * container, the number in postmaster.pid may be anybody's; and a server nobody waited for stays a zombie with a number.
 */
async function isServerOf(pid: number, dataDir: string): Promise<boolean> {
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

/** Processes of this cluster that survived their server: they hold its shared memory, so that a new one cannot start. */
async function orphanedBackends(dataDir: string): Promise<number[]> {
  if (process.platform !== 'linux') return [];
  const orphans: number[] = [];
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (Number.isInteger(pid) && (await isServerOf(pid, dataDir))) orphans.push(pid);
  }
  return orphans;
}

export interface StartOptions {
  /** Fixed port; without it a free one is looked for, and another one when it is taken meanwhile. */
  readonly port?: number;
  readonly settings?: Readonly<Record<string, string>>;
  readonly onWaiting?: (what: string) => void;
}

/**
 * Starts the server and waits until it takes connections. Safe when several processes do it at once: PostgreSQL's own
 * lock lets one server in, and everybody gets that one.
 * @throws GaveUpError with the end of the server's log when it does not start.
 */
export async function startServer(
  cluster: Cluster,
  options: StartOptions = {},
): Promise<ServerProcess & { started: boolean }> {
  const { dataDir } = cluster;
  const orphansDeadline = Date.now() + ORPHANS_GONE_WITHIN_MS;
  let told = false;
  for (let attempt = 1; ; attempt += 1) {
    const running = await runningServer(dataDir);
    if (running !== null) {
      if (await untilReady(dataDir, running.pid)) return { ...running, started: false };
      continue;
    }
    await removeMisleadingFile(dataDir);
    const port = options.port ?? (await freePort());
    const pid = await spawnServer(cluster, port, options.settings ?? {});
    if (await untilReady(dataDir, pid)) return { pid, port, started: true };
    if ((await runningServer(dataDir)) !== null) continue;

    const orphans = await orphanedBackends(dataDir);
    if (orphans.length > 0 && Date.now() < orphansDeadline) {
      if (!told) options.onWaiting?.(`${orphans.length} processes of a killed server in ${dataDir} are finishing`);
      told = true;
      attempt = 0;
      await delay(250);
    } else if (attempt >= START_ATTEMPTS) {
      throw new GaveUpError(
        `The embedded database in ${dataDir} did not start. Its log ends with:\n${await endOfLog(dataDir)}\n` +
          'Its rows are untouched. Put right what the log says, or set DATABASE_URL.',
      );
    } else {
      await delay(100 * attempt);
    }
  }
}

/**
 * A stale postmaster.pid is PostgreSQL's own business, except when its number now belongs to another process: then
 * PostgreSQL believes that its server lives. (Backends that survived it are found by their shared memory, not by this.)
 */
async function removeMisleadingFile(dataDir: string): Promise<void> {
  const stale = await readPostmasterFile(dataDir);
  if (stale === null || !isAlive(stale.pid) || (await isServerOf(stale.pid, dataDir))) return;
  const path = join(dataDir, 'postmaster.pid');
  const aside = `${path}.${randomBytes(4).toString('hex')}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return;
    throw error;
  }
  // Somebody else may have removed the stale one first, and this is the file of a server that has just started.
  const moved = Number((await readFile(aside, 'utf8')).split('\n', 1)[0]);
  if (moved === stale.pid) await rm(aside);
  else await rename(aside, path);
}

async function spawnServer(
  cluster: Cluster,
  port: number,
  settings: Readonly<Record<string, string>>,
): Promise<number> {
  const { dataDir, binaries, account } = cluster;
  const all: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    // A socket's path may have 107 bytes, a project's folder more.
    unix_socket_directories: '',
    ...(await sharedMemorySettings()),
    ...settings,
  };
  const flags = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const logPath = join(dataDir, LOG_FILE);
  const logBytes = await stat(logPath).then(
    ({ size }) => size,
    () => 0,
  );
  if (logBytes > LOG_LIMIT_BYTES) await rename(logPath, `${logPath}.old`);
  const log = await open(logPath, 'a', 0o600);
  try {
    const child = spawn(binaries.postgres, ['-D', dataDir, '-p', String(port), ...flags], {
      ...asAccount(account),
      cwd: '/',
      env: SERVER_ENVIRONMENT,
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

async function sharedMemorySettings(): Promise<Record<string, string>> {
  if (process.platform !== 'linux') return {};
  const bytes = await statfs('/dev/shm').then(
    ({ bavail, bsize }) => bavail * bsize,
    () => 0,
  );
  return bytes < SMALL_SHARED_MEMORY_BYTES ? { dynamic_shared_memory_type: 'mmap' } : {};
}

/** True when that server takes connections, false when it ended first. @throws GaveUpError after five minutes. */
async function untilReady(dataDir: string, pid: number): Promise<boolean> {
  const deadline = Date.now() + READY_WITHIN_MS;
  while (Date.now() < deadline) {
    const file = await readPostmasterFile(dataDir);
    if (file?.pid === pid && file.status === 'ready') return true;
    if (!isAlive(pid)) return false;
    // Ours ends at once when another server holds the cluster; that one is then waited for by the caller.
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
  const deadline = Date.now() + STOPPED_WITHIN_MS;
  while (await isServerOf(pid, dataDir)) {
    if (Date.now() > deadline) {
      throw new GaveUpError(
        `The embedded database in ${dataDir} (process ${pid}) is still shutting down; start again later.`,
      );
    }
    await delay(POLL_MS);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: there, and another user's.
    return isErrno(error, 'EPERM');
  }
}

/** A port of 127.0.0.1 that nobody listens on just now. */
export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address !== null && typeof address === 'object') resolve(address.port);
        else reject(new Error('the free port has no number'));
      });
    });
  });
}

export async function endOfLog(dataDir: string): Promise<string> {
  const text = await readFile(join(dataDir, LOG_FILE), 'utf8').catch(() => '');
  return text.trimEnd().split('\n').slice(-8).join('\n');
}

/** The path that the server's own working directory shows, although the folder itself may not exist yet. */
export async function resolvedDataDir(dataDir: string): Promise<string> {
  if (await exists(dataDir)) return realpath(dataDir);
  return join(await realpath(dirname(dataDir)), basename(dataDir));
}
