/**
 * The PostgreSQL that comes with the project, for when no DATABASE_URL is set: found or made, started or adopted,
 * and stopped by the last process that needs it.
 *
 *   npm start ──lease──▶ server ◀──lease── npm run db, status, verify, ...
 *
 * A process that is killed leaves the server running; the next start adopts it, and stops it at its end.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, realpath, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ConfigurationError, GaveUpError, StuckError, describeError } from '../core/errors.ts';
import type { Logger } from '../core/logging.ts';
import {
  FORMER_SHARED_FOLDER,
  SHARED_FOLDER,
  canReach,
  makeSharedFolder,
  serverAccount,
  type ServerAccount,
} from './account.ts';
import { packagedBinaries, usableBinaries } from './binaries.ts';
import {
  SUPERUSER,
  checkVersion,
  createCluster,
  endOfLog,
  readPassword,
  startServer,
  stopServer,
  type Cluster,
  type StartOptions,
} from './cluster.ts';
import { exists, isErrno, shortHash } from './files.ts';
import { isServerAway, returnLease, takeLease, withClient } from './server-lease.ts';
import { runningServer } from './server-process.ts';
import { settingsForJob } from './server-settings.ts';

/** The database of real events; the demo has one of its own. */
const INGESTION_DATABASE = 'ingestion';

/** How long a server may be stopping, or recovering from a crash, when a process needs it or wants to stop it. */
const AWAY_LIMIT_MS = 300_000;
const AWAY_PAUSE_MS = 100;

export interface EmbeddedPostgresOptions extends Omit<StartOptions, 'onWaiting'> {
  /** Where the cluster belongs; as root it can lie elsewhere, see {@link EmbeddedPostgres.dataDir}. */
  readonly dataDir: string;
  readonly logger: Logger;
  /** Only a cluster that is there already: for commands that read. Default: made if missing. */
  readonly existing?: boolean;
  /** `native` folder of another version of the platform package. Default: the installed one. */
  readonly binariesDir?: string;
}

export interface EmbeddedPostgres {
  /** Address of the database `ingestion`, with the password: for the driver, not for the log. */
  readonly url: string;
  /** Address of another database of this server, created (UTF-8, C locale) if missing. */
  urlFor(database: string): Promise<string>;
  /**
   * Starts the server again at the same address when it has ended, whoever ended it; does nothing while it runs, or after {@link stop}.
   * @throws GaveUpError when it does not start, StuckError when another process has started it at another address
   */
  revive(): Promise<void>;
  /** Stops the server, unless another process needs it too: then the other one stops it. Idempotent. */
  stop(): Promise<void>;
  /** Where the cluster really is. */
  readonly dataDir: string;
}

/**
 * @throws ConfigurationError when the programs are not installed, or the cluster cannot be made or read here
 * @throws GaveUpError when the server does not start
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { logger } = options;
  const cluster = await findCluster(options);
  const { dataDir } = cluster;
  await createCluster(cluster, { sync: true });
  await checkVersion(cluster);
  const password = await readPassword(dataDir);
  const addressOf = (port: number, database: string): string =>
    `postgresql://${SUPERUSER}:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`;
  const leaseId = randomUUID();
  const onWaiting = (what: string): void => {
    logger.info(`waiting: ${what}`);
  };

  const start = (port: number | undefined) =>
    whileServerIsAway(dataDir, async () => {
      const wishes = options.wishes ?? (await settingsForJob(dataDir));
      const found = await startServer(cluster, { ...options, wishes, port, onWaiting });
      if (found.without.length > 0) {
        logger.warn(
          { data_dir: dataDir, without: found.without },
          'the embedded PostgreSQL did not start with settings that make loading faster; it runs without them',
        );
      }
      await takeLease(addressOf(found.port, 'postgres'), leaseId);
      await ensureDatabase(addressOf(found.port, 'postgres'), INGESTION_DATABASE);
      return found;
    });
  const server = await start(options.port);
  logger.info(
    { data_dir: dataDir, port: server.port, server_pid: server.pid, adopted: !server.started },
    server.started ? 'embedded PostgreSQL started' : 'embedded PostgreSQL was running already; using it',
  );

  let stopping: Promise<void> | null = null;
  let reviving: Promise<void> | null = null;
  const adminUrl = addressOf(server.port, 'postgres');
  // Said at debug level: the last line of a job is what became of the job.
  const stopUnlessNeeded = async (): Promise<void> => {
    await reviving?.catch(() => undefined);
    const running = await runningServer(dataDir);
    if (running === null) return;
    const stopped = await returnLease(addressOf(running.port, 'postgres'), leaseId, () => stopServer(dataDir, 'fast'));
    const outcome = stopped ? 'stopped' : 'left running: another process uses it, and will stop it';
    logger.debug({ data_dir: dataDir }, `embedded PostgreSQL ${outcome}`);
  };
  let { pid } = server;
  const revive = async (): Promise<void> => {
    const running = await runningServer(dataDir);
    // It is there, and recovers from a crash by itself.
    if (stopping !== null || running?.pid === pid) return;
    if (running === null) {
      logger.warn({ data_dir: dataDir, server_pid: pid }, 'the embedded PostgreSQL has ended; starting it again');
    }
    const found = await start(server.port);
    if (found.port !== server.port) {
      throw new StuckError(
        `The embedded database in ${dataDir} has ended, and another process has started it again on port ${found.port}, not ` +
          `${server.port}. Its rows are safe: start again to go on there.`,
      );
    }
    ({ pid } = found);
    logger.info({ port: found.port, server_pid: pid }, 'the embedded PostgreSQL runs again');
  };
  return {
    url: addressOf(server.port, INGESTION_DATABASE),
    urlFor: async (database) => {
      await ensureDatabase(adminUrl, database);
      return addressOf(server.port, database);
    },
    dataDir,
    revive: () =>
      (reviving ??= revive().finally(() => {
        reviving = null;
      })),
    stop: () => (stopping ??= whileServerIsAway(dataDir, stopUnlessNeeded)),
  };
}

/** Repeats `attempt` while it fails because the server is just stopping, starting or recovering. */
async function whileServerIsAway<T>(dataDir: string, attempt: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + AWAY_LIMIT_MS;
  for (;;) {
    try {
      return await attempt();
    } catch (cause) {
      if (!isServerAway(cause)) throw cause;
      if (performance.now() > deadline) {
        throw new GaveUpError(
          `The embedded database in ${dataDir} has taken no connections for ${AWAY_LIMIT_MS / 60_000} minutes. ` +
            `Its log ends with:\n${await endOfLog(dataDir)}\nStart again later.`,
          { cause },
        );
      }
    }
    await delay(AWAY_PAUSE_MS);
  }
}

/** Where the cluster is, or will be, and who runs it. */
async function findCluster(options: EmbeddedPostgresOptions): Promise<Cluster> {
  const wanted = resolve(options.dataDir);
  const nativeDir = options.binariesDir ?? packagedBinaries();
  const { inPlace, elsewhere, existing } = await lookForCluster(wanted);
  if (existing !== null) {
    const account = await serverAccount(existing);
    if (!(await canReach(account, existing))) {
      throw new ConfigurationError(
        `The embedded database is in ${existing}, where user ${account?.name ?? ''}, who runs it, cannot enter any more. ` +
          'Nothing was changed. Open the folders above it to others (chmod o+x), or set DATABASE_URL.',
      );
    }
    if (existing === elsewhere) await sayWhere(wanted, existing, account, options.logger);
    return { dataDir: existing, account, binaries: await usableBinaries(nativeDir, account) };
  }
  if (options.existing === true) {
    throw new ConfigurationError(
      `There is no embedded database in ${inPlace} yet, and no DATABASE_URL is set: ` +
        'run npm start first, or set DATABASE_URL to the database with the events.',
    );
  }
  const account = await serverAccount(null);
  const binaries = await usableBinaries(nativeDir, account);
  if (await canReach(account, inPlace)) return { dataDir: inPlace, account, binaries };
  await makeSharedFolder();
  await sayWhere(wanted, elsewhere, account, options.logger);
  return { dataDir: elsewhere, account, binaries };
}

/** The two places where a cluster may be, as resolved paths, and in which one there is one. */
async function lookForCluster(
  wanted: string,
): Promise<{ inPlace: string; elsewhere: string; existing: string | null }> {
  const parent = dirname(wanted);
  try {
    await mkdir(parent, { recursive: true });
    const inPlace = (await exists(wanted)) ? await realpath(wanted) : join(await realpath(parent), basename(wanted));
    const cluster = `cluster-${shortHash(inPlace)}`;
    const elsewhere = join(SHARED_FOLDER, cluster);
    const formerly = join(FORMER_SHARED_FOLDER, cluster);
    for (const place of process.getuid?.() === 0 ? [inPlace, elsewhere, formerly] : [inPlace]) {
      if (await exists(join(place, 'PG_VERSION'))) return { inPlace, elsewhere, existing: place };
    }
    return { inPlace, elsewhere, existing: null };
  } catch (cause) {
    throw new ConfigurationError(
      `The folder ${wanted} for the embedded database cannot be used: ${describeError(cause)}. ` +
        'Run as the user to whom it belongs (a run as root gives it to another user), make it writable (its file system may be read-only), or set DATABASE_URL.',
      { cause },
    );
  }
}

/** A cluster that is elsewhere is mentioned in the log, and in a file where people look for it. */
async function sayWhere(wanted: string, dataDir: string, account: ServerAccount | null, logger: Logger): Promise<void> {
  const reason = `PostgreSQL does not run as root, and user ${account?.name ?? ''} cannot enter ${dirname(wanted)}`;
  logger.info({ data_dir: dataDir }, `the embedded database is in ${dataDir}: ${reason}`);
  await writeFile(`${wanted}.location.txt`, `${dataDir}\n\n${reason}.\nRemove that folder to remove the database.\n`);
}

/** Two processes may do this at once: the second one fails because it is there (42P04), or by the catalog's key (23505). */
async function ensureDatabase(adminUrl: string, database: string): Promise<void> {
  await withClient(adminUrl, 'create database', async (client) => {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [database]);
    if (rowCount === 1) return;
    const name = client.escapeIdentifier(database);
    try {
      await client.query(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`);
    } catch (error) {
      if (!isErrno(error, '42P04') && !isErrno(error, '23505')) throw error;
    }
  });
}
