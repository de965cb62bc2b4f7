/** Keys, constraints, policies, publications, and what stands around a table. */
import { rule, type TargetPart } from './part.ts';

const SECURED = 'ALTER TABLE ingested_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY';
const NOT_THEIRS = `device_type IS DISTINCT FROM 'theirs'`;

export const RULE_PARTS: Readonly<Record<string, readonly TargetPart[]>> = {
  key: [
    rule('no key', 'ALTER TABLE ingested_events DROP CONSTRAINT ingested_events_pkey'),
    rule(
      'a unique index in place of the key',
      'ALTER TABLE ingested_events DROP CONSTRAINT ingested_events_pkey',
      'CREATE UNIQUE INDEX by_id ON ingested_events (id)',
    ),
    rule(
      'a key that includes the name',
      'ALTER TABLE ingested_events DROP CONSTRAINT ingested_events_pkey, ADD PRIMARY KEY (id) INCLUDE (name)',
    ),
    rule(
      'a key that can be deferred',
      'ALTER TABLE ingested_events DROP CONSTRAINT ingested_events_pkey, ADD PRIMARY KEY (id) DEFERRABLE INITIALLY DEFERRED',
    ),
    rule('a second unique index on the id', 'CREATE UNIQUE INDEX by_id ON ingested_events (id)'),
    rule(
      'a key with its own name and storage',
      'ALTER TABLE ingested_events DROP CONSTRAINT ingested_events_pkey',
      'ALTER TABLE ingested_events ADD CONSTRAINT "The Key" PRIMARY KEY (id) WITH (fillfactor = 70)',
    ),
    rule('a comment on the key', `COMMENT ON CONSTRAINT ingested_events_pkey ON ingested_events IS 'ours'`),
  ],
  checks: [
    rule('a check on the type', `ALTER TABLE ingested_events ADD CHECK (type <> 'bad')`),
    rule(
      'a check that fails with an error',
      `ALTER TABLE ingested_events ADD CHECK (1 / (CASE type WHEN 'bad' THEN 0 ELSE 1 END) = 1)`,
    ),
    rule(
      'a check that calls a function',
      `CREATE FUNCTION is_good(text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN IF $1 = 'bad' THEN RAISE no_data_found; END IF; RETURN true; END $$`,
      'ALTER TABLE ingested_events ADD CHECK (is_good(type))',
    ),
    rule('a check that is not validated', `ALTER TABLE ingested_events ADD CHECK (type <> 'bad') NOT VALID`),
    rule('a browser is needed', 'ALTER TABLE ingested_events ALTER COLUMN browser SET NOT NULL'),
    rule('a check that refuses everything', 'ALTER TABLE ingested_events ADD CHECK (user_id IS NULL) NOT VALID'),
  ],
  unique: [
    rule('names are unique', 'ALTER TABLE ingested_events ADD UNIQUE (name)'),
    rule('names are unique in any case', 'CREATE UNIQUE INDEX one_name ON ingested_events (lower(name))'),
    rule('some names are unique', `CREATE UNIQUE INDEX one_name ON ingested_events (name) WHERE type = 'page_view'`),
    rule('names are unique at the end', 'ALTER TABLE ingested_events ADD UNIQUE (name) DEFERRABLE INITIALLY DEFERRED'),
    rule('names exclude each other', 'ALTER TABLE ingested_events ADD EXCLUDE USING btree (name WITH =)'),
  ],
  'keys out': [
    rule(
      'users are known',
      'CREATE TABLE users (id text PRIMARY KEY)',
      `INSERT INTO users SELECT md5('user ' || n)::uuid::text FROM generate_series(0, 5) AS n`,
      'ALTER TABLE users ALTER COLUMN id TYPE uuid USING id::uuid',
      'ALTER TABLE ingested_events ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID',
    ),
    rule(
      'users are known at the end',
      'CREATE TABLE users (id uuid PRIMARY KEY)',
      `INSERT INTO users SELECT md5('user ' || n)::uuid FROM generate_series(0, 5) AS n`,
      'ALTER TABLE ingested_events ADD FOREIGN KEY (user_id) REFERENCES users DEFERRABLE INITIALLY DEFERRED NOT VALID',
    ),
    rule(
      'a session is an event',
      'ALTER TABLE ingested_events ADD FOREIGN KEY (session_id) REFERENCES ingested_events NOT VALID',
    ),
    rule(
      'a session is an event at the end',
      'ALTER TABLE ingested_events ADD FOREIGN KEY (session_id) REFERENCES ingested_events DEFERRABLE INITIALLY DEFERRED NOT VALID',
    ),
  ],
  'keys in': [
    rule(
      'notes point to it',
      'CREATE TABLE notes AS SELECT id AS event FROM ingested_events',
      'ALTER TABLE notes ADD FOREIGN KEY (event) REFERENCES ingested_events',
    ),
    rule(
      'notes go with it',
      'CREATE TABLE notes AS SELECT id AS event FROM ingested_events',
      'ALTER TABLE notes ADD FOREIGN KEY (event) REFERENCES ingested_events ON DELETE CASCADE DEFERRABLE',
    ),
  ],
  policies: [
    rule('a policy hides rows of others', SECURED, `CREATE POLICY p ON ingested_events USING (${NOT_THEIRS})`),
    rule(
      'a policy without FORCE',
      'ALTER TABLE ingested_events ENABLE ROW LEVEL SECURITY',
      `CREATE POLICY p ON ingested_events USING (${NOT_THEIRS})`,
    ),
    rule(
      'a policy refuses some',
      SECURED,
      `CREATE POLICY p ON ingested_events USING (${NOT_THEIRS}) WITH CHECK (type <> 'bad')`,
    ),
    rule(
      'a policy shows not all that it takes',
      SECURED,
      `CREATE POLICY r ON ingested_events FOR SELECT USING (type <> 'bad')`,
      'CREATE POLICY a ON ingested_events FOR INSERT WITH CHECK (true)',
      'CREATE POLICY w ON ingested_events FOR UPDATE USING (true)',
    ),
    rule(
      'a policy lets nobody change',
      SECURED,
      `CREATE POLICY r ON ingested_events FOR SELECT USING (${NOT_THEIRS})`,
      'CREATE POLICY a ON ingested_events FOR INSERT WITH CHECK (true)',
    ),
    rule(
      'a restrictive policy',
      SECURED,
      'CREATE POLICY p ON ingested_events USING (true)',
      `CREATE POLICY q ON ingested_events AS RESTRICTIVE USING (${NOT_THEIRS}) WITH CHECK (type <> 'bad')`,
    ),
    rule('row security without a policy', SECURED),
  ],
  around: [
    rule('a view on it', 'CREATE VIEW seen AS SELECT * FROM ingested_events'),
    rule('a view that needs the key', 'CREATE VIEW seen AS SELECT id, name, count(*) FROM ingested_events GROUP BY id'),
    rule('a materialized view on it', 'CREATE MATERIALIZED VIEW seen AS SELECT * FROM ingested_events'),
    {
      ...rule(
        'a table that inherits from it',
        'CREATE TABLE heirs () INHERITS (ingested_events)',
        `INSERT INTO heirs (id, name, device_type) SELECT (md5('heir ' || n)::uuid)::text::uuid, 'theirs', 'theirs' FROM generate_series(1, 5) AS n`,
      ),
      unfit: 'update',
    },
    rule('a rule', 'CREATE RULE r AS ON INSERT TO ingested_events DO ALSO NOTHING'),
    rule('a rule on DELETE', 'CREATE RULE r AS ON DELETE TO ingested_events DO INSTEAD NOTHING'),
    rule(
      'more indexes',
      'CREATE INDEX ON ingested_events (name)',
      'CREATE INDEX ON ingested_events USING gin (properties)',
      'CREATE INDEX ON ingested_events (id, occurred_at)',
    ),
  ],
  publications: [
    rule('a publication of all tables', 'CREATE PUBLICATION p FOR ALL TABLES'),
    rule('a publication of this table', 'CREATE PUBLICATION p FOR TABLE ingested_events'),
    rule('a publication of inserts', `CREATE PUBLICATION p FOR TABLE ingested_events WITH (publish = 'insert')`),
    {
      ...rule(
        'a publication that lets no row change',
        'ALTER TABLE ingested_events REPLICA IDENTITY NOTHING',
        'CREATE PUBLICATION p FOR TABLE ingested_events',
      ),
      unfit: 'update',
    },
  ],
};
