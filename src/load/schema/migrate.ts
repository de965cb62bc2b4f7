/** Makes and migrates schema `ingestion`: one file a version, each applied once, in order, in one transaction. */
import { ConfigurationError, describeError } from '../../core/errors.ts';
import type { Logger } from '../../core/logging.ts';
import { isAboutRows } from '../postgres/database-errors.ts';
import type { Database } from '../postgres/database.ts';
import { oneRow } from '../postgres/one-row.ts';
import { endOrphans } from '../postgres/orphans.ts';
import { ledgerAndState } from './001-ledger-and-state.ts';
import { oldestOfPage } from './002-oldest-of-page.ts';
import { placesAndProof } from './003-places-and-proof.ts';
import { BEFORE_SOURCES, sources } from './004-sources.ts';
import { rounds } from './005-rounds.ts';
import { chainServed } from './006-chain-served.ts';

interface Migration {
  readonly version: number;
  readonly sql: string;
}

const MIGRATIONS: readonly Migration[] = [ledgerAndState, oldestOfPage, placesAndProof, sources, rounds, chainServed];

/** The version this program makes. */
const SCHEMA_VERSION = Math.max(...MIGRATIONS.map(({ version }) => version));

/** Makes two starts migrate one after the other; any number that is ours. */
const MIGRATION_LOCK = 0x1d5_19e57;

const VERSION_SQL = 'SELECT coalesce(max(version), 0)::int AS version FROM ingestion.schema_version';

/**
 * Idempotent, and safe beside running jobs: an up-to-date schema is only read. No job of an earlier version may be at work.
 * @throws ConfigurationError when a newer version of this program made the schema, or the role may not make it.
 */
export async function migrate(db: Database, logger: Logger): Promise<void> {
  if ((await readSchemaVersion(db)) === SCHEMA_VERSION) return;
  await refuseForeignSchema(db);
  try {
    await db.transaction('migration', async (client) => {
      await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
      // IF NOT EXISTS asks for the right to make one even where it exists, made by somebody for the job.
      const { rowCount } = await client.query(`SELECT FROM pg_namespace WHERE nspname = 'ingestion'`);
      if (rowCount === 0) await client.query('CREATE SCHEMA ingestion');
      await client.query(
        `CREATE TABLE IF NOT EXISTS ingestion.schema_version
           (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`,
      );
      const { version } = await oneRow<{ version: number }>(client, VERSION_SQL);
      // In turn, so that no other start that is just bringing the schema up to date is taken for one of them.
      if (version > 0 && version < sources.version) await endOrphans(db, BEFORE_SOURCES, logger);
      for (const migration of MIGRATIONS.filter((one) => one.version > version)) {
        await client.query(migration.sql);
        await client.query('INSERT INTO ingestion.schema_version (version) VALUES ($1)', [migration.version]);
      }
    });
  } catch (error) {
    // A right that the role lacks, a tablespace that is its default, an event trigger: whatever PostgreSQL says.
    if (!isAboutRows(error)) throw error;
    throw new ConfigurationError(
      `the role of ${db.described} may not make the schema "ingestion" with the job's tables, or change it: ${describeError(error)}. ` +
        'Nothing was changed: GRANT CREATE ON DATABASE … TO it, or CREATE SCHEMA ingestion AUTHORIZATION …, or start once as the role ' +
        'that owns the tables, and take away what else is in the way.',
      { cause: error },
    );
  }
}

/** Somebody else may have a schema of that name; a table has a type of its name, so their types are in the way, too. @throws ConfigurationError naming its owner and what is in it */
async function refuseForeignSchema(db: Database): Promise<void> {
  const { rows } = await db.query<{ owner: string; relations: string }>(
    `SELECT n.nspowner::regrole::text AS owner, string_agg(found.name, ', ' ORDER BY found.name) AS relations
       FROM pg_namespace n JOIN (
         SELECT relnamespace AS space, relname AS name FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
          UNION ALL SELECT typnamespace, typname FROM pg_type WHERE typtype IN ('d', 'e')
       ) AS found ON found.space = n.oid
      WHERE n.nspname = 'ingestion' AND NOT (${IS_OURS_SQL}) GROUP BY 1`,
  );
  const [found] = rows;
  if (found === undefined) return;
  throw new ConfigurationError(
    `the schema "ingestion" of ${db.described} is not the job's: it belongs to ${found.owner} and has ${found.relations}. Nothing ` +
      'was changed: rename that schema, or use another database.',
  );
}

/** The table by which the job knows its own schema, with its own columns. */
const IS_OURS_SQL = `SELECT count(*) = 2 FROM pg_attribute
  WHERE attrelid = to_regclass('ingestion.schema_version') AND (attname, atttypid) IN (('version', 'int4'::regtype), ('applied_at', 'timestamptz'::regtype))`;

/**
 * The version the database has; 0 when the job has never used it.
 * @throws ConfigurationError when it is newer than this program.
 */
export async function readSchemaVersion(db: Database): Promise<number> {
  const { present } = await oneRow<{ present: boolean }>(db, `SELECT (${IS_OURS_SQL}) AS present`);
  if (!present) return 0;
  const { version } = await oneRow<{ version: number }>(db, VERSION_SQL);
  if (version > SCHEMA_VERSION) {
    throw new ConfigurationError(
      `the database ${db.described} has version ${version} of the schema "ingestion"; this program knows ${SCHEMA_VERSION}. ` +
        'Nothing was changed: use the newer program.',
    );
  }
  return version;
}
