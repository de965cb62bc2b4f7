/** What the catalog says of the table of a source, which may be somebody else's, and of the role that the job has. */
import type { Queryable } from '../postgres/one-row.ts';
import type { Target } from './source.ts';

export interface TargetColumn {
  readonly name: string;
  /** As `format_type` writes it. */
  readonly type: string;
  /** Where it is not the type's own. */
  readonly collation: string | null;
  readonly isNotNull: boolean;
  /** Something fills it in: a default, an identity, an expression. */
  readonly hasDefault: boolean;
  /** Its value is computed, or an identity that is always generated: it cannot be written. */
  readonly isGenerated: boolean;
}

export interface TargetTrigger {
  readonly name: string;
  readonly onInsert: boolean;
  readonly onUpdate: boolean;
  readonly onDelete: boolean;
  readonly onTruncate: boolean;
}

export interface TargetFacts {
  /** With its schema, as the server writes it. */
  readonly relation: string;
  /** `pg_class.relkind`: `r` a table, `p` a partitioned one, everything else none. */
  readonly kind: string;
  readonly role: string;
  readonly isOwner: boolean;
  readonly maySelect: boolean;
  readonly mayInsert: boolean;
  readonly mayUpdate: boolean;
  readonly mayTruncate: boolean;
  /** Row security applies to this role: there may be rows that it cannot see. */
  readonly isFiltered: boolean;
  /** Commands that a permissive policy lets this role do: `r` read, `a` add, `w` write. */
  readonly permitted: readonly string[];
  readonly columns: readonly TargetColumn[];
  /** A unique index that is a plain `(id)`, and judged at once. */
  readonly isUniqueById: boolean;
  /** A collation under which different ids are equal. */
  readonly looseCollation: string | null;
  readonly rules: readonly string[];
  /** Tables that inherit from it, and are no partitions. */
  readonly heirs: readonly string[];
  /** Of people, not of constraints; those of partitions count. */
  readonly triggers: readonly TargetTrigger[];
  /** Tables with foreign keys that point here, or to a partition. */
  readonly referencedBy: readonly string[];
  /** It has foreign keys itself. */
  readonly hasReferences: boolean;
  /** Of it, or of a partition. */
  readonly publications: readonly string[];
  /** A table whose updates a publication passes on, and which has no replica identity: PostgreSQL refuses them. */
  readonly unidentified: string | null;
  /** The role may make an index beside it: its key, when that was taken away. */
  readonly mayMakeIndex: boolean;
  /** Every row is in PostgreSQL's own files for it: no partition is a foreign table, and no extension stores it elsewhere. */
  readonly isInFiles: boolean;
  /** What a transaction writes to a file that it has made needs no write-ahead log: `wal_level=minimal`. */
  readonly serverSparesWal: boolean;
}

/** `null` when there is no such relation. */
export async function readTargetFacts(db: Queryable, target: Target): Promise<TargetFacts | null> {
  const { rows } = await db.query<{ facts: TargetFacts }>(factsSql(target));
  return rows[0]?.facts ?? null;
}

/** Bits of `pg_trigger.tgtype`. */
const ON_INSERT = 4;
const ON_UPDATE = 16;
const ON_DELETE = 8;
const ON_TRUNCATE = 32;

const COLUMNS_SQL = `
  SELECT json_agg(json_build_object(
           'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
           'collation', CASE WHEN a.attcollation <> y.typcollation THEN a.attcollation::regcollation::text END,
           'isNotNull', a.attnotnull OR y.typnotnull,
           'hasDefault', a.atthasdef OR a.attidentity <> '' OR y.typdefault IS NOT NULL,
           'isGenerated', a.attgenerated <> '' OR a.attidentity = 'a') ORDER BY a.attnum)
    FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped`;

const UNIQUE_BY_ID_SQL = `
  SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = 'id'
   WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indnkeyatts = 1
     AND i.indkey[0] = a.attnum AND i.indimmediate`;

const LOOSE_COLLATION_SQL = `
  SELECT l.oid::regcollation::text FROM pg_attribute a
    JOIN pg_collation l ON NOT l.collisdeterministic AND (l.oid = a.attcollation OR EXISTS (
      SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indnkeyatts = 1
         AND i.indkey[0] = a.attnum AND i.indcollation[0] = l.oid))
   WHERE a.attrelid = c.oid AND a.attname = 'id' LIMIT 1`;

const PERMITTED_SQL = `
  SELECT coalesce(json_agg(DISTINCT command), '[]') FROM pg_policy p,
         unnest(CASE p.polcmd WHEN '*' THEN ARRAY['r', 'a', 'w'] ELSE ARRAY[p.polcmd::text] END) AS command
   WHERE p.polrelid = c.oid AND p.polpermissive
     AND EXISTS (SELECT FROM unnest(p.polroles) AS r WHERE r = 0 OR pg_has_role(r, 'USAGE'))`;

const TRIGGERS_SQL = `
  SELECT coalesce(json_agg(json_build_object('name', name, 'onInsert', inserts, 'onUpdate', updates,
                                             'onDelete', deletes, 'onTruncate', truncates) ORDER BY name), '[]')
    FROM (SELECT tgname AS name, bool_or(tgtype & ${ON_INSERT} <> 0) AS inserts, bool_or(tgtype & ${ON_UPDATE} <> 0) AS updates,
                 bool_or(tgtype & ${ON_DELETE} <> 0) AS deletes, bool_or(tgtype & ${ON_TRUNCATE} <> 0) AS truncates
            FROM pg_trigger WHERE tgrelid IN (SELECT relid FROM tables) AND NOT tgisinternal AND tgenabled <> 'D'
           GROUP BY tgname) AS g`;

/** PostgreSQL refuses INSERT … ON CONFLICT for a table with rules for INSERT or UPDATE, even if they are conditional. */
const RULES_SQL = `
  SELECT coalesce(json_agg(rulename ORDER BY rulename), '[]') FROM pg_rewrite
   WHERE ev_class IN (SELECT relid FROM tables) AND ev_type IN ('2', '3') AND ev_enabled <> 'D'`;

const HEIRS_SQL = `
  SELECT coalesce(json_agg(inhrelid::regclass::text ORDER BY inhseqno), '[]') FROM pg_inherits
   WHERE inhparent = c.oid AND c.relkind = 'r'`;

/** Publications as `p` that pass on a table of ours, or one of whose partitions it is, with all that is below. */
const PUBLISHED = `pg_publication p JOIN pg_publication_tables t USING (pubname)
                  JOIN pg_class r ON r.relname = t.tablename AND r.relnamespace::regnamespace::text = quote_ident(t.schemaname)
                   AND r.oid IN (SELECT relid FROM tables UNION SELECT relid FROM pg_partition_ancestors(c.oid))`;

const UNIDENTIFIED_SQL = `
  SELECT k.oid::regclass::text FROM pg_class k
   WHERE k.oid IN (SELECT relid FROM tables) AND k.relkind = 'r' AND k.relpersistence = 'p' AND CASE k.relreplident
           WHEN 'd' THEN NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = k.oid AND i.indisprimary AND i.indisvalid)
           WHEN 'i' THEN NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = k.oid AND i.indisreplident AND i.indisvalid)
           ELSE k.relreplident = 'n' END
     AND EXISTS (SELECT FROM ${PUBLISHED} WHERE p.pubupdate)
   ORDER BY 1 LIMIT 1`;

const factsSql = ({ oid }: Target): string => `
  WITH tables AS (
    SELECT relid FROM pg_partition_tree(${oid}) UNION SELECT ${oid}
  )
  SELECT json_build_object(
           'relation', format('%s.%I', c.relnamespace::regnamespace, c.relname), 'kind', c.relkind, 'role', current_user,
           'isOwner', pg_has_role(c.relowner, 'USAGE'),
           'maySelect', has_table_privilege(c.oid, 'SELECT'), 'mayInsert', has_table_privilege(c.oid, 'INSERT'),
           'mayUpdate', has_table_privilege(c.oid, 'UPDATE'), 'mayTruncate', has_table_privilege(c.oid, 'TRUNCATE'),
           'isFiltered', row_security_active(c.oid), 'permitted', (${PERMITTED_SQL}),
           'columns', (${COLUMNS_SQL}), 'isUniqueById', EXISTS (${UNIQUE_BY_ID_SQL}),
           'looseCollation', (${LOOSE_COLLATION_SQL}), 'rules', (${RULES_SQL}), 'heirs', (${HEIRS_SQL}),
           'triggers', (${TRIGGERS_SQL}),
           'referencedBy', (SELECT coalesce(json_agg(DISTINCT conrelid::regclass::text), '[]') FROM pg_constraint
                             WHERE contype = 'f' AND confrelid IN (SELECT relid FROM tables)
                               AND conrelid NOT IN (SELECT relid FROM tables)),
           'hasReferences', EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND conrelid IN (SELECT relid FROM tables)),
           'publications', (SELECT coalesce(json_agg(DISTINCT p.pubname), '[]') FROM ${PUBLISHED}),
           'unidentified', (${UNIDENTIFIED_SQL}), 'mayMakeIndex', has_schema_privilege(c.relnamespace, 'CREATE'),
           'isInFiles', NOT EXISTS (SELECT FROM pg_class k LEFT JOIN pg_am m ON m.oid = k.relam
                                     WHERE k.oid IN (SELECT relid FROM tables)
                                       AND NOT (k.relkind = 'p' OR k.relkind = 'r' AND m.amname = 'heap')),
           'serverSparesWal', current_setting('wal_level') = 'minimal'
         ) AS facts
    FROM pg_class c WHERE c.oid = ${oid}`;
