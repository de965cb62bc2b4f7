/**
 * What the database knows a source by. A source has a number; under it stand its owner, its runs, its staging tables and its
 * epoch, so that jobs of several sources work in one database without meeting. It has one table, and no other source has that.
 */
import type { ColumnPlan } from '../../core/column-plan.ts';
import { ConfigurationError } from '../../core/errors.ts';
import type { Database } from '../postgres/database.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/identifiers.ts';
import { DATASYNC_PLAN } from '../../encode/plan/datasync-plan.ts';
import { sources } from './004-sources.ts';
import { readSchemaVersion } from './migrate.ts';

/** The table of a source. */
export interface Target {
  /** Without its schema, which is always `public`. */
  readonly name: string;
  /** For messages: with its schema, and where it is. */
  readonly described: string;
  /** As SQL takes it, with its schema, so that the job does not depend on anybody's search_path. */
  readonly sql: string;
  /** An expression for its object id; null while there is no such table. */
  readonly oid: string;
  /** How its rows are made, and so its columns. */
  readonly plan: ColumnPlan;
}

export interface Source {
  readonly sourceId: number;
  readonly name: string;
  readonly target: Target;
  /** Only an earlier version has used the database: nothing there has the number of a source, and all is of this one. */
  readonly isAlone?: true;
  /** As its file says it, for the row of the source; DataSync has none. */
  readonly description?: object | undefined;
}

interface SourceToRegister {
  readonly name: string;
  /** Named after the source unless given. */
  readonly table?: string;
  /** DataSync's unless given. */
  readonly plan?: ColumnPlan | undefined;
  readonly description?: object | undefined;
}

/** Of `datasync`, in a database that an earlier version has used. */
const FIRST_SOURCE = 1;

/** The name of the table that a source gets. */
export function tableOf(sourceName: string): string {
  return sourceName === 'datasync' ? 'ingested_events' : sourceName.replaceAll('-', '_');
}

/** @param plan of the source; DataSync's unless given */
export function targetNamed(name: string, db: Pick<Database, 'described'>, plan = DATASYNC_PLAN): Target {
  const sql = `public.${quoteIdentifier(name)}`;
  return { name, described: `public.${name} in ${db.described}`, sql, oid: `to_regclass(${quoteLiteral(sql)})`, plan };
}

/** A relation of the job's own schema that belongs to one source. */
export function ownRelation({ sourceId }: Source, name: string): string {
  return `ingestion.${name}_${sourceId}`;
}

/** A condition that an index may answer: a row of the relation is the source's. */
export function isOf(relation: string, { sourceId, isAlone }: Source): string {
  return isAlone === true ? 'true' : `${relation}.source_id = ${sourceId}`;
}

/** `null` when no job of the source has ever started; in a database of an earlier version, everything is of `datasync`. */
export async function findSource(db: Database, name: string, plan = DATASYNC_PLAN): Promise<Source | null> {
  const version = await readSchemaVersion(db);
  if (version > 0 && version < sources.version) {
    const target = targetNamed(tableOf(name), db, plan);
    return name === 'datasync' ? { sourceId: FIRST_SOURCE, name, target, isAlone: true } : null;
  }
  return version === 0 ? null : readSource(db, name, plan);
}

/** Of all sources of which a job has ever started, the oldest first. */
export async function readSourceNames(db: Database): Promise<string[]> {
  const version = await readSchemaVersion(db);
  if (version < sources.version) return version === 0 ? [] : ['datasync'];
  const { rows } = await db.query<{ name: string }>('SELECT name FROM ingestion.source ORDER BY source_id');
  return rows.map(({ name }) => name);
}

/**
 * Makes a place for the source where it has none yet. The schema must be up to date.
 * @throws ConfigurationError when its table is another source's, or it has another one already
 */
export async function registerSource(
  db: Database,
  { name, table = tableOf(name), plan = DATASYNC_PLAN, description }: SourceToRegister,
): Promise<Source> {
  const found = await readSource(db, name, plan);
  if (found !== null && found.target.name !== table) {
    throw new ConfigurationError(
      `The source ${name} loads into ${found.target.described}, and not into public.${table}, as its description says now. Nothing ` +
        'was changed: let the description name the old table, or give the source another name.',
    );
  }
  if (found !== null) return { ...found, description };
  await db.query(
    `WITH made AS (
       INSERT INTO ingestion.source (name, target) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING source_id
     ), owner AS (INSERT INTO ingestion.owner (source_id, generation, host, pid) SELECT source_id, 0, '', 0 FROM made)
     INSERT INTO ingestion.target_rows (source_id) SELECT source_id FROM made`,
    [name, table],
  );
  const made = await readSource(db, name, plan);
  if (made !== null) return { ...made, description };
  const { rows } = await db.query<{ name: string }>('SELECT name FROM ingestion.source WHERE target = $1', [table]);
  throw new ConfigurationError(
    `The source ${name} (--source) would load into public.${table} in ${db.described}, which is the table of the source ` +
      `${rows[0]?.name ?? ''}: a table belongs to one source. Nothing was changed: use another name, or another database.`,
  );
}

async function readSource(db: Database, name: string, plan: ColumnPlan): Promise<Source | null> {
  const { rows } = await db.query<{ sourceId: number; table: string }>(
    'SELECT source_id AS "sourceId", target AS "table" FROM ingestion.source WHERE name = $1',
    [name],
  );
  const [found] = rows;
  return found === undefined ? null : { sourceId: found.sourceId, name, target: targetNamed(found.table, db, plan) };
}
