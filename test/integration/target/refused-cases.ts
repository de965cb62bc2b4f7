/** Somebody else's tables, roles and databases that the job refuses: see {@link ./cases.ts}. */
import { OWNED_BY_JOB, type TargetCase } from './cases.ts';

/** The job ends with 2, and the database is as it was. */
export interface RefusedCase extends TargetCase {
  /** A part of the last line. */
  readonly says: string;
  readonly whatToDo: string;
  readonly flags?: readonly string[];
  /** Only the first events show it: the job's own schema is made by then. */
  readonly textIds?: boolean;
}

export const REFUSED_CASES: readonly RefusedCase[] = [
  {
    what: 'no unique key that is just `(id)`',
    statements: ['ALTER TABLE ingested_events DROP CONSTRAINT ingested_events_pkey, ADD PRIMARY KEY (id, session_id)'],
    says: 'no primary key or unique constraint on (id)',
    whatToDo: '`ADD UNIQUE (id)`: by it the job knows what is there already',
  },
  {
    what: 'a unique key on `(id)` that is `DEFERRABLE`',
    statements: ['ALTER TABLE ingested_events DROP CONSTRAINT ingested_events_pkey, ADD PRIMARY KEY (id) DEFERRABLE'],
    says: 'no primary key or unique constraint on (id)',
    whatToDo: 'one that is not: `ON CONFLICT` cannot use it',
  },
  {
    what: 'partitions by another column than the id',
    statements: [
      'ALTER TABLE ingested_events RENAME TO former',
      `CREATE TABLE ingested_events (LIKE former INCLUDING DEFAULTS, PRIMARY KEY (id, occurred_at)) PARTITION BY RANGE (occurred_at)`,
      'CREATE TABLE rest PARTITION OF ingested_events DEFAULT',
    ],
    says: 'no primary key or unique constraint on (id)',
    whatToDo: 'partitions by the id: PostgreSQL has no unique key on `(id)` over others',
  },
  {
    what: 'a `NOT NULL` column that nothing fills',
    statements: ['ALTER TABLE ingested_events ADD COLUMN tenant int NOT NULL'],
    says: 'column tenant is NOT NULL without a default',
    whatToDo: 'a default, a trigger that fills it, or `DROP NOT NULL`',
  },
  {
    what: "one of the job's columns generated",
    statements: [
      'ALTER TABLE ingested_events DROP COLUMN browser, ADD COLUMN browser text GENERATED ALWAYS AS (name) STORED',
    ],
    says: 'column browser is generated',
    whatToDo: 'a generated column of another name',
  },
  {
    what: "one of the job's columns missing",
    statements: ['ALTER TABLE ingested_events DROP COLUMN browser'],
    says: 'column browser is missing, not text',
    whatToDo: '`ADD COLUMN` with the type that the line names',
  },
  {
    what: "one of the job's columns with another type, `varchar(n)` too",
    statements: ['ALTER TABLE ingested_events ALTER COLUMN browser TYPE varchar(80)'],
    says: 'column browser is character varying(80), not text',
    whatToDo: 'the type that the line names; a `CHECK` can limit the length',
  },
  {
    what: 'a rule',
    statements: ['CREATE RULE r AS ON INSERT TO ingested_events DO ALSO NOTHING'],
    says: 'rule "r" does not work with INSERT … ON CONFLICT',
    whatToDo: 'a trigger in its place',
  },
  {
    what: 'a table that inherits from it (`INHERITS`), with `--on-conflict update`',
    statements: ['CREATE TABLE archive () INHERITS (ingested_events)'],
    flags: ['--on-conflict', 'update'],
    says: 'archive inherits from it, and --on-conflict update cannot change the rows that are there',
    whatToDo: '`NO INHERIT` and a view over both, or partitions by the id',
  },
  {
    what: 'a publication, no replica identity, and `--on-conflict update`',
    statements: [
      'ALTER TABLE ingested_events REPLICA IDENTITY NOTHING',
      'CREATE PUBLICATION p FOR TABLE ingested_events',
    ],
    flags: ['--on-conflict', 'update'],
    says: 'a publication passes on the updates of ingested_events, which has no replica identity',
    whatToDo: '`REPLICA IDENTITY DEFAULT`, or `FULL` where it has no primary key',
  },
  {
    what: 'a view in its place',
    statements: [
      'ALTER TABLE ingested_events RENAME TO all_events',
      'CREATE VIEW ingested_events AS SELECT * FROM all_events',
    ],
    says: 'it is a view, not a table',
    whatToDo: 'the table under this name, the view under another',
  },
  {
    what: 'a view on `id`, `session_id` or `user_id`, while it is empty and these have another type than the source',
    statements: ['CREATE VIEW seen AS SELECT id FROM ingested_events'],
    textIds: true,
    says: 'column id text, and PostgreSQL does not change it: ',
    whatToDo: 'drop the view and make it again, or make the column `text` yourself',
  },
  {
    what: 'another owner, and no `UPDATE` for the role, with `--on-conflict update`',
    statements: [],
    grants: ['GRANT SELECT, INSERT ON ingested_events TO {job}', 'GRANT CREATE ON DATABASE {database} TO {job}'],
    flags: ['--on-conflict', 'update'],
    says: 'GRANT SELECT, INSERT, UPDATE ON public.ingested_events',
    whatToDo: 'the `GRANT` that the line names',
  },
  {
    what: 'row security that binds the role, and no policy for it',
    statements: ['ALTER TABLE ingested_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY'],
    grants: OWNED_BY_JOB,
    says: 'no policy that lets the role ',
    whatToDo: '`CREATE POLICY`, or `BYPASSRLS` for the role',
  },
  {
    what: 'a role that may not make the schema `ingestion`',
    statements: [],
    grants: ['GRANT SELECT, INSERT ON ingested_events TO {job}'],
    says: 'may not make the schema "ingestion"',
    whatToDo: '`GRANT CREATE ON DATABASE`, or `CREATE SCHEMA ingestion AUTHORIZATION` the role',
  },
  {
    what: 'a schema `ingestion` that the role may not use',
    statements: ['CREATE SCHEMA ingestion'],
    grants: OWNED_BY_JOB,
    says: 'permission denied for schema ingestion',
    whatToDo: 'a role that may, as the one that made it',
  },
  {
    what: 'no right of the role to use the schema `public`',
    statements: ['REVOKE ALL ON SCHEMA public FROM PUBLIC'],
    grants: ['GRANT SELECT, INSERT ON ingested_events TO {job}', 'GRANT CREATE ON DATABASE {database} TO {job}'],
    says: 'permission denied for schema public',
    whatToDo: '`GRANT USAGE ON SCHEMA public`',
  },
  {
    what: 'an event trigger that forbids to make tables',
    statements: [
      `CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no %', tg_tag; END $$`,
      'CREATE EVENT TRIGGER frozen ON ddl_command_start EXECUTE FUNCTION refuse()',
    ],
    says: 'no CREATE SCHEMA',
    whatToDo: 'let the first start through, as a release',
  },
  {
    what: 'no table yet, and a role that may not make one in `public` (the default since PostgreSQL 15)',
    statements: ['DROP TABLE ingested_events', 'REVOKE CREATE ON SCHEMA public FROM PUBLIC'],
    grants: ['GRANT CREATE ON DATABASE {database} TO {job}'],
    says: 'GRANT CREATE, USAGE ON SCHEMA public TO ',
    whatToDo: 'the `GRANT` that the line names, or make the table for it',
  },
  {
    what: "a schema `ingestion` beside it that is somebody else's",
    statements: ['CREATE SCHEMA ingestion', 'CREATE TABLE ingestion.schema_version (v text)'],
    says: 'the schema "ingestion" of ',
    whatToDo: 'rename that schema, or use another database',
  },
  {
    what: 'no schema `public` around it',
    statements: ['DROP SCHEMA public CASCADE'],
    says: 'no schema public',
    whatToDo: '`CREATE SCHEMA public`',
  },
];
