/** A database with the target of a draw, made by people's hands; and what stands in it, read by somebody who sees all. */
import pg from 'pg';
import type { TestCluster } from '../support/cluster.ts';
import { uuidFrom } from '../support/scripted-events.ts';
import { idOf, type IdTypes } from './source-events.ts';
import type { Draw, IdType } from './drawing.ts';
import type { TargetPart } from './part.ts';
import { partNamed } from './target-parts.ts';

/** Values by id, as JSON; an inherited table may have an id once more. */
export type Rows = ReadonlyMap<string, string>;

export interface Rejection {
  readonly id: string | null;
  readonly reason: string;
}

export class BuiltTarget {
  /** For the job: its role, its password. */
  readonly url: string;
  /** What PostgreSQL has made of the draw: other parts do not go together. */
  readonly parts: readonly TargetPart[];
  readonly #client: pg.Client;

  /** @param role of the job, which exists; it gets its rights here */
  static async create(cluster: TestCluster, name: string, draw: Draw, role: string): Promise<BuiltTarget> {
    const adminUrl = await cluster.createDatabase(name);
    const client = new pg.Client({ connectionString: adminUrl, application_name: 'test' });
    client.on('error', () => undefined);
    await client.connect();
    const parts = await build(client, draw, role, name);
    const url = new URL(adminUrl);
    if (draw.role !== 'superuser') url.username = role;
    return new BuiltTarget(client, url.href, parts);
  }

  private constructor(client: pg.Client, url: string, parts: readonly TargetPart[]) {
    this.#client = client;
    this.url = url;
    this.parts = parts;
  }

  async close(): Promise<void> {
    await this.#client.end();
  }

  async run(sql: string): Promise<void> {
    await this.#client.query(sql);
  }

  /** Whether PostgreSQL refuses every UPDATE: a publication passes updates on, and nothing identifies rows. */
  async refusesUpdates(): Promise<boolean> {
    try {
      await this.run('EXPLAIN UPDATE ingested_events SET id = id');
      return false;
    } catch {
      return true;
    }
  }

  /** Every row there, also those that policies hide, without the values that differ from load to load, and `extra`: what was repaired is kept there. */
  async rows(): Promise<Rows> {
    const { rows } = await this.#client.query<{ id: string; row: string }>(
      `SELECT id, string_agg(row, ' and ' ORDER BY row) AS row FROM (
         SELECT t.id::text AS id, ((SELECT jsonb_object_agg(key, value) FROM jsonb_each(to_jsonb(t))
                                    WHERE key NOT IN ('ingested_at', 'extra') AND key NOT LIKE 'v\\_%'))::text AS row FROM ingested_events t) AS r
        GROUP BY id`,
    );
    return new Map(rows.map(({ id, row }) => [id, row]));
  }

  /** What people have made, without the types of the id columns. */
  async definition(): Promise<string> {
    const { rows } = await this.#client.query<{ definition: string }>(DEFINITION_SQL);
    return rows[0]?.definition ?? '';
  }

  async idTypes(): Promise<IdTypes> {
    const { rows } = await this.#client.query<{ name: string; type: string }>(
      `SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
        WHERE attrelid = 'ingested_events'::regclass AND attname IN ('id', 'session_id', 'user_id')`,
    );
    const typeOf = (column: string): IdType =>
      rows.find(({ name }) => name === column)?.type === 'text' ? 'text' : 'uuid';
    return { id: typeOf('id'), session_id: typeOf('session_id'), user_id: typeOf('user_id') };
  }

  /** Whether the job has made its own schema. */
  async hasSchema(): Promise<boolean> {
    const { rows } = await this.#client.query<{ there: boolean }>(
      `SELECT to_regclass('ingestion.run') IS NOT NULL AS there`,
    );
    return rows[0]?.there === true;
  }

  async rejections(): Promise<readonly Rejection[]> {
    if (!(await this.hasSchema())) return [];
    const { rows } = await this.#client.query<Rejection>(
      `SELECT event_id AS id, reason FROM ingestion.anomaly WHERE kind = 'rejected'`,
    );
    return rows;
  }

  /** How many pages are staged, and not merged. */
  async stagedPages(): Promise<number> {
    if (!(await this.hasSchema())) return 0;
    const { rows } = await this.#client.query<{ pages: number }>(
      `SELECT ((SELECT count(*) FROM ingestion.staging_ledger_a_1) + (SELECT count(*) FROM ingestion.staging_ledger_b_1))::int AS pages`,
    );
    return rows[0]?.pages ?? 0;
  }

  /** Runs whose counts do not balance, and what a complete run has left behind; empty when all is well. */
  async disorder(): Promise<string> {
    const { rows } = await this.#client.query<{ disorder: string | null }>(
      `SELECT string_agg(what, '; ') AS disorder FROM (
         SELECT 'counts of ' || to_jsonb(r)::text FROM ingestion.run r WHERE served <> loaded + rejected OR loaded <> inserted + updated + duplicates
         UNION ALL SELECT 'left behind: ' || relname FROM pg_class WHERE relnamespace = 'ingestion'::regnamespace AND relname LIKE 'merge%'
         UNION ALL SELECT 'rows in staging' WHERE EXISTS (SELECT FROM ingestion.staging_a_1) OR EXISTS (SELECT FROM ingestion.staging_b_1)
       ) AS found (what)`,
    );
    return rows[0]?.disorder ?? '';
  }
}

async function build(client: pg.Client, draw: Draw, role: string, database: string): Promise<readonly TargetPart[]> {
  for (const sql of tableSql(draw)) await client.query(sql);
  const drawn = draw.parts.map(partNamed);
  const made: TargetPart[] = [];
  const lay = async (when: TargetPart['when']): Promise<void> => {
    for (const part of drawn) {
      if (part.when === when && (await tolerant(client, part.statements))) made.push(part);
    }
  };
  await lay('columns');
  for (const sql of othersSql(draw)) await tolerant(client, [sql]);
  await lay('rules');
  for (const sql of rightsSql(draw, role, database)) await tolerant(client, [sql]);
  return made;
}

/** @returns false, with nothing changed, when PostgreSQL does not do it */
async function tolerant(client: pg.Client, statements: readonly string[]): Promise<boolean> {
  await client.query('BEGIN');
  try {
    for (const statement of statements) await client.query(statement);
    await client.query('COMMIT');
    return true;
  } catch (error) {
    await client.query('ROLLBACK');
    if (error instanceof pg.DatabaseError) return false;
    throw error;
  }
}

function tableSql({ form, idType }: Draw): string[] {
  const kind = form === 'unlogged' ? 'UNLOGGED ' : '';
  const by = form.startsWith('by hash')
    ? ' PARTITION BY HASH (id)'
    : form.startsWith('by range')
      ? ' PARTITION BY RANGE (id)'
      : '';
  const table = `CREATE ${kind}TABLE public.ingested_events (
    id ${idType} PRIMARY KEY, session_id uuid, user_id uuid, type text, name text, properties jsonb,
    occurred_at timestamptz, device_type text, browser text, extra jsonb, ingested_at timestamptz NOT NULL DEFAULT now()
  )${by}`;
  const part = (n: number, values: string): string =>
    `CREATE TABLE part_${n} PARTITION OF ingested_events FOR VALUES ${values}`;
  if (form.startsWith('by hash')) return [table, ...[0, 1, 2].map((n) => part(n, `WITH (MODULUS 3, REMAINDER ${n})`))];
  if (!form.startsWith('by range')) return [table];
  const [low, high] = ['40000000-0000-0000-0000-000000000000', 'c0000000-0000-0000-0000-000000000000'];
  return [
    table,
    part(0, `FROM (MINVALUE) TO ('${low}')`),
    part(1, `FROM ('${low}') TO ('${high}')`),
    ...(form === 'by range' ? [part(2, `FROM ('${high}') TO (MAXVALUE)`)] : []),
  ];
}

function othersSql({ others, idType, source }: Draw): string[] {
  const row = (id: string): string =>
    `INSERT INTO ingested_events (id, name, type, browser, device_type, occurred_at)
     VALUES ('${id}', 'theirs ${id}', 'theirs', 'theirs', 'theirs', '2020-01-01Z')`;
  const ids = Array.from({ length: others.rows }, (_, n) =>
    idType === 'text' ? `theirs ${n}` : uuidFrom(`theirs ${n}`),
  );
  const shared = Array.from({ length: others.withIdsOfEvents }, (_, k) => idOf(11 + 30 * k, source));
  return [...ids, ...shared].map(row);
}

function rightsSql({ role: kind, form }: Draw, role: string, database: string): string[] {
  const schema = kind === 'no schema' ? [] : [`GRANT CREATE ON DATABASE "${database}" TO ${role}`];
  const grant = (rights: string): string => `GRANT ${rights} ON ingested_events TO ${role}`;
  switch (kind) {
    case 'superuser':
      return [];
    case 'owner':
      return [
        ...schema,
        `GRANT CREATE ON SCHEMA public TO ${role}`,
        `ALTER TABLE ingested_events OWNER TO ${role}`,
        ...(form === 'by hash, one of another owner'
          ? []
          : [0, 1, 2].map((n) => `ALTER TABLE part_${n} OWNER TO ${role}`)),
      ];
    case 'granted':
    case 'no schema':
      return [...schema, grant('SELECT, INSERT, UPDATE'), `GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ${role}`];
    case 'no update':
      return [...schema, grant('SELECT, INSERT'), `GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ${role}`];
    case 'no insert':
      return [...schema, grant('SELECT, UPDATE')];
    case 'no select':
      return [...schema, grant('INSERT, UPDATE')];
    case 'some columns':
      return [
        ...schema,
        grant(
          'SELECT, INSERT (id, session_id, user_id, type, name, properties, occurred_at, device_type, browser, extra)',
        ),
      ];
  }
}

const DEFINITION_SQL = `
  WITH theirs AS (SELECT * FROM pg_class WHERE relnamespace = to_regnamespace('public'))
  SELECT jsonb_pretty(jsonb_build_object(
    'columns', (SELECT jsonb_agg(concat_ws(' ', attrelid::regclass, attname, CASE WHEN attname NOT IN ('id', 'session_id', 'user_id') THEN
                  format_type(atttypid, atttypmod) END, attnotnull, attidentity, attgenerated, attacl) ORDER BY attrelid::regclass::text, attnum)
                  FROM pg_attribute WHERE attrelid IN (SELECT oid FROM theirs) AND attnum > 0 AND NOT attisdropped),
    'defaults', (SELECT jsonb_agg(pg_get_expr(adbin, adrelid) ORDER BY adrelid::regclass::text, adnum) FROM pg_attrdef WHERE adrelid IN (SELECT oid FROM theirs)),
    'constraints', (SELECT jsonb_agg(concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated) ORDER BY conrelid::regclass::text, conname)
                      FROM pg_constraint WHERE conrelid IN (SELECT oid FROM theirs)),
    'indexes', (SELECT jsonb_agg(concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid, indisprimary, indisreplident, obj_description(indexrelid)) ORDER BY indexrelid::regclass::text)
                  FROM pg_index WHERE indrelid IN (SELECT oid FROM theirs)),
    'triggers', (SELECT jsonb_agg(concat_ws(' ', pg_get_triggerdef(oid), tgenabled) ORDER BY tgrelid::regclass::text, tgname) FROM pg_trigger
                  WHERE tgrelid IN (SELECT oid FROM theirs) AND NOT tgisinternal),
    'policies', (SELECT jsonb_agg(to_jsonb(p) ORDER BY tablename, policyname) FROM pg_policies p WHERE schemaname = 'public'),
    'relations', (SELECT jsonb_agg(concat_ws(' ', oid::regclass, relkind, relpersistence, relreplident, relrowsecurity, relforcerowsecurity, relowner::regrole, relacl) ORDER BY relname)
                   FROM theirs)
  )) AS definition`;
