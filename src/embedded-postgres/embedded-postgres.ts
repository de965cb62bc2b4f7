/**
 * The PostgreSQL that comes with the project, for when no DATABASE_URL is set: found or made, started or adopted,
 * and stopped by the last process that needs it.
 *
 *   job ──keeps (a session with a shared advisory lock)──▶ server ◀──keeps── npm run db
 *
 * A process that is killed leaves the server running; the next start adopts it. Who needs the server is known to the
 * server itself, by sessions: they end with their process, however it ends, so nothing can go stale.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { ConfigurationError, GaveUpError, describeError } from '../core/errors.ts';
import type { Logger } from '../core/logging.ts';
import { canReach, serverAccount, type ServerAccount } from './account.ts';
import { exists, isErrno, packagedBinaries, sharedClusterFolders, sharedFolder, usableBinaries } from './binaries.ts';
import {
  SUPERUSER,
  checkVersion,
  createCluster,
  endOfLog,
  readPassword,
  resolvedDataDir,
  startServer,
  stopServer,
  type Cluster,
} from './cluster.ts';
import { Keeper } from './keeper.ts';

/** The database of real events; the demo has one of its own. */
export const INGESTION_DATABASE = 'ingestion';

/** How long a start may meet a server that is just going away, or recovers from a crash of one of its processes. */
const MEETINGS_WITHIN_MS = 300_000;
const MEETING_PAUSE_MS = 100;

export interface EmbeddedPostgresOptions {
  /** Where the cluster belongs; as root it can lie elsewhere, see {@link EmbeddedPostgres.dataDir}. */
  readonly dataDir: string;
  readonly logger: Logger;
  /** Default: any free port. */
  readonly port?: number;
  /** Only a cluster that is there already: for commands that read. Default: made if missing. */
  readonly existing?: boolean;
  /** `native` folder of another version of the platform package. Default: the installed one. */
  readonly binariesDir?: string;
  /** Server settings, as for `postgres -c`. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface EmbeddedPostgres {
  /** Address of the database `ingestion`, with the password: for the driver, not for the log. */
  readonly url: string;
  /** Address of another database of this server, created (UTF-8, C locale) if missing. */
  urlFor(database: string): Promise<string>;
  hasDatabase(database: string): Promise<boolean>;
  /** Stops the server, unless another process needs it too: then that one stops it. Idempotent. */
  stop(): Promise<void>;
  /** The server was running before. */
  readonly adopted: boolean;
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

  const deadline = Date.now() + MEETINGS_WITHIN_MS;
  while (Date.now() < deadline) {
    const server = await startServer(cluster, {
      ...(options.port === undefined ? {} : { port: options.port }),
      ...(options.settings === undefined ? {} : { settings: options.settings }),
      onWaiting: (what) => {
        logger.info(`waiting: ${what}`);
      },
    });
    const addressOf = (database: string) =>
      `postgresql://${SUPERUSER}:${password}@127.0.0.1:${server.port}/${encodeURIComponent(database)}`;
    const keeper = await Keeper.open(addressOf('postgres'), dataDir);
    if (keeper === null) {
      await delay(MEETING_PAUSE_MS);
      continue;
    }
    logger.info(
      { data_dir: dataDir, port: server.port, server_pid: server.pid, adopted: !server.started },
      server.started ? 'embedded PostgreSQL started' : 'embedded PostgreSQL was running already; using it',
    );
    const urlFor = async (database: string): Promise<string> => {
      await ensureDatabase(addressOf('postgres'), database);
      return addressOf(database);
    };
    let stopping: Promise<void> | null = null;
    return {
      url: await urlFor(INGESTION_DATABASE),
      urlFor,
      hasDatabase: (database) =>
        withClient(addressOf('postgres'), 'look for database', (client) => isDatabase(client, database)),
      adopted: !server.started,
      dataDir,
      stop: () => (stopping ??= stopUnlessNeeded(keeper, dataDir, logger)),
    };
  }
  throw new GaveUpError(
    `The embedded database in ${dataDir} runs, but takes no connections since ${MEETINGS_WITHIN_MS / 60_000} minutes. ` +
      `Its log ends with:\n${await endOfLog(dataDir)}\nStart again later.`,
  );
}

/** Said at debug level: the last line of a job is what became of the job. */
async function stopUnlessNeeded(keeper: Keeper, dataDir: string, logger: Logger): Promise<void> {
  if (await keeper.isLast()) {
    await stopServer(dataDir, 'fast');
    logger.debug({ data_dir: dataDir }, 'embedded PostgreSQL stopped');
  } else {
    logger.debug({ data_dir: dataDir }, 'embedded PostgreSQL left running: another process uses it, and will stop it');
  }
  await keeper.close();
}

/** Where the cluster is, or will be, and who runs it. */
async function findCluster(options: EmbeddedPostgresOptions): Promise<Cluster> {
  const wanted = resolve(options.dataDir);
  const nativeDir = options.binariesDir ?? packagedBinaries();
  await makeFolder(dirname(wanted));
  const inPlace = await resolvedDataDir(wanted);

  const places = process.getuid?.() === 0 ? [inPlace, ...sharedClusterFolders(inPlace)] : [inPlace];
  for (const dataDir of places) {
    if (!(await isCluster(dataDir))) continue;
    const account = await serverAccount(dataDir);
    if (!(await canReach(account, dataDir))) {
      throw new ConfigurationError(
        `The embedded database is in ${dataDir}, where user ${account?.name ?? ''}, who runs it, cannot enter any more. ` +
          'Nothing was changed. Open the folders above it to others (chmod o+x), or set DATABASE_URL.',
      );
    }
    if (dataDir !== inPlace) await sayWhere(wanted, dataDir, account, options.logger);
    return { dataDir, account, binaries: await usableBinaries(nativeDir, account) };
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
  const folder = await sharedFolder();
  const dataDir = places.find((place) => dirname(place) === folder) ?? inPlace;
  await sayWhere(wanted, dataDir, account, options.logger);
  return { dataDir, account, binaries };
}

/** A cluster that is elsewhere is mentioned in the log, and in a file where people look for it. */
async function sayWhere(wanted: string, dataDir: string, account: ServerAccount | null, logger: Logger): Promise<void> {
  const reason = `PostgreSQL does not run as root, and user ${account?.name ?? ''} cannot enter ${dirname(wanted)}`;
  logger.info({ data_dir: dataDir }, `the embedded database is in ${dataDir}: ${reason}`);
  await writeFile(`${wanted}.location.txt`, `${dataDir}\n\n${reason}.\nRemove that folder to remove the database.\n`);
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (cause) {
    throw new ConfigurationError(
      `The folder ${folder} for the embedded database cannot be made: ${describeError(cause)}. ` +
        'Make it writable, or set DATABASE_URL.',
      { cause },
    );
  }
}

async function isCluster(dataDir: string): Promise<boolean> {
  try {
    return await exists(join(dataDir, 'PG_VERSION'));
  } catch (cause) {
    if (!isErrno(cause, 'EACCES')) throw cause;
    throw new ConfigurationError(
      `The embedded database in ${dataDir} belongs to another user (a run as root makes such a one). ` +
        'Run as that user, remove or give away the folder, or set DATABASE_URL.',
      { cause },
    );
  }
}

/** Two processes may do this at once: the second is told that it is there (42P04), or by the catalog's own key (23505). */
async function ensureDatabase(adminUrl: string, database: string): Promise<void> {
  await withClient(adminUrl, 'create database', async (client) => {
    if (await isDatabase(client, database)) return;
    const name = client.escapeIdentifier(database);
    try {
      await client.query(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`);
    } catch (error) {
      if (!isErrno(error, '42P04') && !isErrno(error, '23505')) throw error;
    }
  });
}

async function isDatabase(client: pg.Client, database: string): Promise<boolean> {
  const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [database]);
  return rowCount === 1;
}

async function withClient<T>(url: string, purpose: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: `datasync-ingestion ${purpose}` });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
