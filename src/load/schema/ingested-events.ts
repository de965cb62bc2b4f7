/** `ingested_events`, the public table: made from the encoder's column list, never altered once it has rows. */
import type { IdColumnType, IdColumnTypes } from '../../core/encoded-page.ts';
import { ConfigurationError } from '../../core/errors.ts';
import { EVENT_COLUMNS, sqlType, type EventColumn } from '../../encode/rows/event-columns.ts';
import { sqlStateOf } from '../postgres/database-errors.ts';
import type { Database } from '../postgres/database.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import { makeStaging } from './make-staging.ts';
import { STAGING_TABLES, lockStaging } from './staging.ts';

/** The target with its schema, so that the job does not depend on anybody's search_path. */
export const TARGET = 'public.ingested_events';

/** Names of the columns that come from an event, in the order of COPY. */
export const EVENT_COLUMN_NAMES: readonly string[] = EVENT_COLUMNS.map((column) => column.name);

/**
 * Makes `ingested_events` when it does not exist, and the staging tables to match it. Existing rows and definitions of the
 * target stay.
 * @returns how many staged pages were dropped because the target has other id types now: they are fetched again
 * @throws ConfigurationError when an existing table does not fit, or the role may not make one.
 */
export async function ensureTarget(db: Database, types: IdColumnTypes): Promise<number> {
  try {
    return await db.transaction('making tables', async (client) => {
      await client.query(createTargetSql(types));
      await checkTarget(client, db);
      return makeStaging(client);
    });
  } catch (error) {
    if (sqlStateOf(error) !== '42501') throw error;
    throw new ConfigurationError(
      `the role of ${db.described} may not make or change public.ingested_events: ` +
        'GRANT CREATE, USAGE ON SCHEMA public TO it, or let it own the table',
      { cause: error },
    );
  }
}

/** Before anything is made or changed. @throws ConfigurationError when there is a table that does not fit */
export async function refuseUnfitTarget(db: Database): Promise<void> {
  if ((await readColumns(db)).size > 0) await checkTarget(db, db);
}

/** The types of the id columns and whether there are rows; `null` when there is no table yet. Waits out an outage. */
export async function readTargetTypes(db: Database): Promise<{ types: IdColumnTypes; empty: boolean } | null> {
  return db.persistently('reading the types of the target', async () => {
    const columns = await readColumns(db);
    if (columns.size === 0) return null;
    const types = {
      id: idType(columns, 'id', db),
      sessionId: idType(columns, 'session_id', db),
      userId: idType(columns, 'user_id', db),
    };
    return { types, empty: await isTargetEmpty(db) };
  });
}

/**
 * Gives an empty table other id types, keeping grants and whatever else somebody put on it. Waits out an outage. Pages that
 * are staged with rows of other types are dropped, and the job begins anew from its state: see {@link makeStaging}.
 * @returns how many pages were dropped
 * @throws ConfigurationError when it is not empty: types are decided once.
 */
export async function retypeTarget(db: Database, types: IdColumnTypes): Promise<number> {
  // Doing it twice gives the same, so it does not matter whether a COMMIT that was not answered happened.
  return db.persistently('giving the target its types', () =>
    db.transaction('making tables', async (client) => {
      for (const table of STAGING_TABLES) await lockStaging(client, table);
      await client.query(`LOCK TABLE ${TARGET} IN ACCESS EXCLUSIVE MODE`);
      if (!(await isTargetEmpty(client))) {
        throw new ConfigurationError(
          `public.ingested_events in ${db.described} has rows, so its id types cannot change; --reset would empty it first`,
        );
      }
      const found = await readColumns(client);
      for (const column of EVENT_COLUMNS) {
        if (typeof column.type === 'string' || found.get(column.name) === sqlType(column, types)) continue;
        const name = quoteIdentifier(column.name);
        const type = sqlType(column, types);
        await client.query(`ALTER TABLE ${TARGET} ALTER COLUMN ${name} TYPE ${type} USING ${name}::text::${type}`);
      }
      return makeStaging(client);
    }),
  );
}

/** A {@link Database}, or the client of a transaction. */
type Queryable = Pick<Database, 'query'>;

/** Whether the target, which must exist, has no row that this role can see. */
export async function isTargetEmpty(db: Queryable): Promise<boolean> {
  const { rows } = await db.query<{ empty: boolean }>(`SELECT NOT EXISTS (SELECT FROM ${TARGET}) AS empty`);
  return rows[0]?.empty === true;
}

function createTargetSql(types: IdColumnTypes): string {
  const columns = EVENT_COLUMNS.map((column) => {
    const key = column.name === 'id' ? ' PRIMARY KEY' : '';
    return `${quoteIdentifier(column.name)} ${sqlType(column, types)}${key}`;
  });
  return `CREATE TABLE IF NOT EXISTS ${TARGET} (${columns.join(', ')}, ingested_at timestamptz NOT NULL DEFAULT now())`;
}

/** Name and type of each column; none when there is no table. */
async function readColumns(db: Queryable): Promise<ReadonlyMap<string, string>> {
  const { rows } = await db.query<{ name: string; type: string }>(
    `SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type
       FROM pg_attribute a
      WHERE a.attrelid = to_regclass('${TARGET}') AND a.attnum > 0 AND NOT a.attisdropped`,
  );
  return new Map(rows.map(({ name, type }) => [name, type]));
}

function idType(columns: ReadonlyMap<string, string>, name: string, db: Database): IdColumnType {
  const type = columns.get(name);
  if (type === 'uuid' || type === 'text') return type;
  throw doesNotFit(db, `its column ${name} is ${type ?? 'missing'}, not uuid or text`);
}

/** An `ingested_events` that somebody else made must have our columns: COPY writes binary values by type. */
async function checkTarget(client: Queryable, db: Database): Promise<void> {
  const columns = await readColumns(client);
  for (const column of EVENT_COLUMNS) {
    const fitting = fittingTypes(column);
    const found = columns.get(column.name);
    if (found === undefined || !fitting.includes(found)) {
      throw doesNotFit(db, `its column ${column.name} is ${found ?? 'missing'}, not ${fitting.join(' or ')}`);
    }
  }
  const { rows } = await client.query<{ keyed: boolean }>(
    `SELECT EXISTS (
       SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = 'id'
        WHERE i.indrelid = to_regclass('${TARGET}') AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
          AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum AND i.indimmediate) AS keyed`,
  );
  if (rows[0]?.keyed !== true) throw doesNotFit(db, 'it has no primary key or unique constraint on (id)');
  await checkCollation(client, db);
  await checkRules(client, db);
}

/** Under a nondeterministic collation different ids are equal: one of them would pass for the other served again. */
async function checkCollation(client: Queryable, db: Database): Promise<void> {
  const { rows } = await client.query<{ collation: string }>(
    `SELECT c.oid::regcollation::text AS collation FROM pg_attribute a
       JOIN pg_collation c ON NOT c.collisdeterministic AND (c.oid = a.attcollation OR EXISTS (
         SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indnkeyatts = 1
            AND i.indkey[0] = a.attnum AND i.indcollation[0] = c.oid))
      WHERE a.attrelid = to_regclass('${TARGET}') AND a.attname = 'id'`,
  );
  const [found] = rows;
  if (found === undefined) return;
  throw doesNotFit(
    db,
    `its column id, or a unique index on it, has the nondeterministic collation ${found.collation}, under which different ids are equal`,
  );
}

/** PostgreSQL refuses INSERT … ON CONFLICT for a table with such rules, even if they are conditional. */
async function checkRules(client: Queryable, db: Database): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT rulename AS name FROM pg_rewrite
      WHERE ev_class = to_regclass('${TARGET}') AND ev_type IN ('2', '3') AND ev_enabled IN ('O', 'A')`,
  );
  const [found] = rows;
  if (found !== undefined) {
    throw doesNotFit(db, `its rule "${found.name}" does not work with INSERT … ON CONFLICT; a trigger does`);
  }
}

function fittingTypes({ type }: EventColumn): readonly string[] {
  if (typeof type !== 'string') return ['uuid', 'text'];
  return [type === 'timestamptz' ? 'timestamp with time zone' : type];
}

function doesNotFit(db: Database, why: string): ConfigurationError {
  return new ConfigurationError(
    `public.ingested_events in ${db.described} cannot be used: ${why}. Nothing was changed; rename that table or use another database.`,
  );
}
