/**
 * Somebody else's tables that the job loads: the tests play them against real servers, and `npm run docs` makes the tables of
 * docs/operations.md from them. Pure data. `{job}` is the role that the job has, `{database}` the database.
 */
import { eventsUpTo, type ScriptedEvent } from '../../support/scripted-events.ts';

export interface TargetCase {
  /** What the table has, in the words of the documents. */
  readonly what: string;
  /** Laid on a table that is as the program would make it. */
  readonly statements: readonly string[];
  /** How that table is partitioned. */
  readonly partitions?: string;
  /** Given to a role that the job then has. Without them it is a superuser. */
  readonly grants?: readonly string[];
  /** The first major version that knows such a thing. */
  readonly since?: number;
}

/** Loaded first, and later what has changed is updated. */
export interface LoadedCase extends TargetCase {
  /** Why the first load keeps the key all the time, a part of what the plan says; without it, the load is quick. */
  readonly keyStays?: string;
  /** That is not in the plan: PostgreSQL refuses the quick way. */
  readonly isFoundByTrying?: boolean;
  /** The job may only add: what has changed stays as it was. */
  readonly addsOnly?: boolean;
}

/** All events are loaded but {@link ODD_EVENT}, which becomes an anomaly. */
export interface SetAsideCase extends TargetCase {
  /** A part of the anomaly's reason. */
  readonly reason: string;
}

/** One of those that {@link CASE_EVENTS} has, newest first. It alone has no type. */
export const ODD_EVENT = 'event_77';

/** Some come twice, as APIs do it. */
export const CASE_EVENTS: readonly ScriptedEvent[] = withSomeTwice(
  eventsUpTo(400, (n) => (n === 77 ? { type: undefined } : {})),
);

function withSomeTwice(events: readonly ScriptedEvent[]): readonly ScriptedEvent[] {
  return [...events, ...events.slice(100, 110)];
}

const ODD_ID = String(CASE_EVENTS.find(({ name }) => name === ODD_EVENT)?.['id']);
/** The next UUID: its last digit is no f. */
const AFTER_ODD_ID = ODD_ID.slice(0, -1) + (Number.parseInt(ODD_ID.slice(-1), 16) + 1).toString(16);

/** Grants with which the job may do what it likes with the table. */
export const OWNED_BY_JOB = [
  'ALTER TABLE ingested_events OWNER TO {job}',
  'GRANT CREATE ON DATABASE {database} TO {job}',
  'GRANT CREATE, USAGE ON SCHEMA public TO {job}',
];

/** @param body of a function in PL/pgSQL that gives the row back at its end */
function triggerOf(when: string, body: string): readonly string[] {
  return [
    `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} RETURN NEW; END $$`,
    `CREATE TRIGGER tr ${when} ON ingested_events FOR EACH ROW EXECUTE FUNCTION f()`,
  ];
}

export const LOADED_CASES: readonly LoadedCase[] = [
  { what: 'a view on it', statements: ['CREATE VIEW seen AS SELECT * FROM ingested_events'] },
  { what: 'a materialized view on it', statements: ['CREATE MATERIALIZED VIEW seen AS SELECT * FROM ingested_events'] },
  {
    what: 'further columns with a default',
    statements: [
      `ALTER TABLE ingested_events ADD COLUMN tenant text NOT NULL DEFAULT 'main', ADD CHECK (tenant <> '')`,
    ],
  },
  {
    what: 'an identity column',
    statements: ['ALTER TABLE ingested_events ADD COLUMN n bigint GENERATED ALWAYS AS IDENTITY'],
  },
  {
    what: 'a generated column',
    statements: [
      'ALTER TABLE ingested_events ADD COLUMN short text GENERATED ALWAYS AS (left(session_id::text, 8)) STORED',
    ],
  },
  {
    what: 'a virtual generated column',
    since: 18,
    statements: ['ALTER TABLE ingested_events ADD COLUMN short text GENERATED ALWAYS AS (left(name, 8)) VIRTUAL'],
  },
  {
    what: 'no column `ingested_at`, and one of yours named `source_order`',
    statements: ['ALTER TABLE ingested_events ADD COLUMN source_order text, DROP COLUMN ingested_at'],
  },
  {
    what: 'further indexes',
    statements: [
      'CREATE INDEX ON ingested_events USING gin (properties)',
      'CREATE INDEX ON ingested_events (occurred_at) WHERE type IS NOT NULL',
    ],
  },
  {
    what: 'a further unique key that has the id in it',
    statements: ['CREATE UNIQUE INDEX ON ingested_events (occurred_at, id)'],
    keyStays: 'some ids come twice',
    isFoundByTrying: true,
  },
  {
    what: 'a policy, for a role that is not bound by it',
    statements: [
      'ALTER TABLE ingested_events ENABLE ROW LEVEL SECURITY',
      'CREATE POLICY p ON ingested_events USING (session_id IS NOT NULL)',
    ],
  },
  {
    what: 'a policy that binds the role (`FORCE ROW LEVEL SECURITY`)',
    statements: [
      'ALTER TABLE ingested_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY',
      'CREATE POLICY p ON ingested_events USING (session_id IS NOT NULL)',
    ],
    grants: OWNED_BY_JOB,
    keyStays: 'row security may hide rows of others',
  },
  {
    what: 'another owner, and `SELECT` and `INSERT` for the role',
    statements: [],
    grants: ['GRANT SELECT, INSERT ON ingested_events TO {job}', 'GRANT CREATE ON DATABASE {database} TO {job}'],
    keyStays: 'another role owns it',
    addsOnly: true,
  },
  {
    what: 'the role as its owner, which may make nothing in `public` (the default since PostgreSQL 15)',
    statements: ['REVOKE CREATE ON SCHEMA public FROM PUBLIC'],
    grants: ['ALTER TABLE ingested_events OWNER TO {job}', 'GRANT CREATE ON DATABASE {database} TO {job}'],
    keyStays: 'the role may not CREATE in its schema',
  },
  {
    what: 'a schema `ingestion` that was made for the role, and no right to make one',
    statements: [],
    grants: ['GRANT SELECT, INSERT, UPDATE ON ingested_events TO {job}', 'CREATE SCHEMA ingestion AUTHORIZATION {job}'],
    keyStays: 'another role owns it',
  },
  {
    what: 'a foreign key that points to it',
    statements: ['CREATE TABLE notes (event uuid REFERENCES ingested_events)'],
    keyStays: 'a foreign key of notes points to it',
  },
  {
    what: 'a trigger for updates',
    statements: triggerOf('BEFORE UPDATE OF session_id', ''),
  },
  {
    what: 'a trigger that fills in or changes what is inserted',
    statements: [
      'ALTER TABLE ingested_events ADD COLUMN tenant int NOT NULL',
      ...triggerOf('BEFORE INSERT', 'NEW.tenant := 1; NEW.browser := lower(NEW.browser);'),
    ],
    keyStays: 'it has the trigger tr',
  },
  {
    what: 'a publication (logical replication, Debezium)',
    statements: ['CREATE PUBLICATION p FOR ALL TABLES'],
    keyStays: 'the publication p would pass on what is taken out again',
  },
  {
    what: 'a publication of the table whose partition it is',
    statements: [
      'CREATE TABLE whole (LIKE ingested_events INCLUDING DEFAULTS) PARTITION BY RANGE (id)',
      'ALTER TABLE whole ATTACH PARTITION ingested_events FOR VALUES FROM (MINVALUE) TO (MAXVALUE)',
      'CREATE PUBLICATION p FOR TABLE whole WITH (publish_via_partition_root = true)',
    ],
    keyStays: 'the publication p would pass on what is taken out again',
  },
  {
    what: 'partitions by hash of the id',
    partitions: 'HASH (id)',
    statements: [0, 1, 2].map(
      (n) => `CREATE TABLE part_${n} PARTITION OF ingested_events FOR VALUES WITH (MODULUS 3, REMAINDER ${n})`,
    ),
    keyStays: 'it is partitioned',
  },
  {
    what: 'partitions by range of the id',
    partitions: 'RANGE (id)',
    statements: [
      `CREATE TABLE lower PARTITION OF ingested_events FOR VALUES FROM (MINVALUE) TO ('${ODD_ID}')`,
      'CREATE TABLE rest PARTITION OF ingested_events DEFAULT',
    ],
    keyStays: 'it is partitioned',
  },
];

export const SET_ASIDE_CASES: readonly SetAsideCase[] = [
  {
    what: 'a `CHECK`',
    statements: [`ALTER TABLE ingested_events ADD CHECK (name <> '${ODD_EVENT}')`],
    reason: 'violates check constraint',
  },
  {
    what: '`NOT NULL` for a field that some events lack',
    statements: ['ALTER TABLE ingested_events ALTER COLUMN type SET NOT NULL'],
    reason: 'violates not-null constraint',
  },
  {
    what: 'a foreign key to another table',
    statements: [
      `CREATE TABLE names AS SELECT 'event_' || n AS name FROM generate_series(-9, 399) n WHERE n <> 77`,
      'ALTER TABLE names ADD PRIMARY KEY (name)',
      'ALTER TABLE ingested_events ADD FOREIGN KEY (name) REFERENCES names',
    ],
    reason: 'violates foreign key constraint',
  },
  {
    what: 'a trigger that raises an exception, whatever its SQLSTATE',
    statements: triggerOf('BEFORE INSERT', `IF NEW.name = '${ODD_EVENT}' THEN RAISE EXCEPTION 'not this one'; END IF;`),
    reason: 'not this one',
  },
  {
    what: 'a trigger that leaves rows out',
    statements: triggerOf('BEFORE INSERT', `IF NEW.name = '${ODD_EVENT}' THEN RETURN NULL; END IF;`),
    reason: 'skipped by a trigger of the table (tr)',
  },
  {
    what: 'a trigger that deletes rows again',
    statements: triggerOf(
      'AFTER INSERT',
      `IF NEW.name = '${ODD_EVENT}' THEN DELETE FROM ingested_events WHERE id = NEW.id; END IF;`,
    ),
    reason: 'skipped by a trigger of the table (tr)',
  },
  {
    what: 'a policy that refuses rows (`WITH CHECK`)',
    statements: [
      'ALTER TABLE ingested_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY',
      `CREATE POLICY p ON ingested_events USING (true) WITH CHECK (name <> '${ODD_EVENT}')`,
    ],
    grants: OWNED_BY_JOB,
    reason: 'violates row-level security policy',
  },
  {
    what: 'no partition for some ids',
    partitions: 'RANGE (id)',
    statements: [
      `CREATE TABLE lower PARTITION OF ingested_events FOR VALUES FROM (MINVALUE) TO ('${ODD_ID}')`,
      `CREATE TABLE upper PARTITION OF ingested_events FOR VALUES FROM ('${AFTER_ODD_ID}') TO (MAXVALUE)`,
    ],
    reason: 'no partition of relation',
  },
];
