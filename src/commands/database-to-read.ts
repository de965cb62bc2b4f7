/** Which database a command reads that only looks at what jobs have loaded. */
import { DEMO_DATABASE, embeddedDataDir, isDemo } from '../app/run/job-source.ts';
import type { Settings } from '../core/config.ts';
import type { Logger } from '../core/logging.ts';
import { startEmbeddedPostgres } from '../embedded-postgres/embedded-postgres.ts';
import { Database } from '../load/postgres/database.ts';
import { tableOf, targetNamed } from '../load/schema/source.ts';

export interface DatabaseToRead {
  readonly db: Database;
  /** Closes the connections, and stops the embedded server if this started it and nobody else uses it. */
  close(): Promise<void>;
}

export interface DatabaseToReadOptions {
  readonly settings: Pick<Settings, 'databaseUrl' | 'source' | 'apiKey' | 'dataDir' | 'maxWait'>;
  readonly logger: Logger;
  /** What the command does, for `pg_stat_activity`. */
  readonly purpose: string;
}

/**
 * DATABASE_URL when it is set, else the embedded one. There, the demo's database is read only when neither a key nor a
 * database is configured and no real events are there; that is logged as a warning.
 * @throws ConfigurationError when the database cannot be used, or there is none yet
 */
export async function openDatabaseToRead(options: DatabaseToReadOptions): Promise<DatabaseToRead> {
  const { settings, logger } = options;
  if (settings.databaseUrl !== undefined) {
    const db = await open(settings.databaseUrl, options);
    return { db, close: () => db.close() };
  }
  const table = tableOf(settings.source);
  const server = await startEmbeddedPostgres({ dataDir: embeddedDataDir(settings), logger, existing: true });
  const close = (db: Database) => async (): Promise<void> => {
    await db.close();
    await server.stop();
  };
  try {
    const real = await open(server.url, options);
    if (isDemo(settings) && !(await hasEvents(real, table)) && (await hasDemo(real))) {
      const demo = await open(await server.urlFor(DEMO_DATABASE), options);
      if (await hasEvents(demo, table)) {
        await real.close();
        logger.warn("nothing else is configured, and no real events are there: this reads the demo's database");
        return { db: demo, close: close(demo) };
      }
      await demo.close();
    }
    return { db: real, close: close(real) };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

function open(url: string, { settings, logger, purpose }: DatabaseToReadOptions): Promise<Database> {
  const applicationName = `datasync-ingestion ${purpose}`;
  return Database.open({ url, copyConnections: 1, applicationName, logger, maxWaitMs: settings.maxWait });
}

async function hasDemo(db: Database): Promise<boolean> {
  const { rows } = await db.query('SELECT FROM pg_database WHERE datname = $1', [DEMO_DATABASE]);
  return rows.length > 0;
}

async function hasEvents(db: Database, table: string): Promise<boolean> {
  const { sql, oid } = targetNamed(table, db);
  const { rows: tables } = await db.query<{ there: boolean }>(`SELECT ${oid} IS NOT NULL AS there`);
  if (tables[0]?.there !== true) return false;
  const { rows } = await db.query<{ any: boolean }>(`SELECT EXISTS (SELECT FROM ${sql}) AS any`);
  return rows[0]?.any === true;
}
