/**
 * Whether one table could stand in for another: whether the catalog says the same of both, and of all that hangs on them. What belongs to
 * a table is compared as whole rows of the catalog, less what names the table itself, so that a trait is not overlooked because nobody has
 * thought of it.
 */
import { oneRow, type Queryable } from '../postgres/one-row.ts';
import type { Target } from './source.ts';

/** What differs between any two tables, or is a figure of their rows. */
const OWN = `ARRAY['oid', 'relname', 'reltype', 'relfilenode', 'reltoastrelid', 'relpages', 'reltuples', 'relallvisible', 'relallfrozen',
  'relfrozenxid', 'relminmxid', 'attrelid', 'indexrelid', 'indrelid', 'indcheckxmin', 'typname', 'typrelid', 'typelem', 'typarray']`;

/** Of a table that is there. */
const traitsSql = ({ oid }: Target): string => `(
  WITH parts (part, class, object) AS (
    SELECT 'table', 'pg_class'::regclass::oid, c.oid FROM pg_class c WHERE c.oid = ${oid}
    UNION ALL SELECT 'TOAST table', 'pg_class'::regclass, c.reltoastrelid FROM pg_class c WHERE c.oid = ${oid}
    UNION ALL SELECT 'row type', 'pg_type'::regclass, c.reltype FROM pg_class c WHERE c.oid = ${oid}
    UNION ALL SELECT 'array type', 'pg_type'::regclass, y.typarray FROM pg_class c JOIN pg_type y ON y.oid = c.reltype WHERE c.oid = ${oid}
    UNION ALL SELECT 'index', 'pg_class'::regclass, indexrelid FROM pg_index WHERE indrelid = ${oid}
    UNION ALL SELECT 'constraint', 'pg_constraint'::regclass, k.oid FROM pg_constraint k WHERE conrelid = ${oid}
    UNION ALL SELECT 'default', 'pg_attrdef'::regclass, f.oid FROM pg_attrdef f WHERE adrelid = ${oid}
  )
  SELECT jsonb_build_object(
    'relations', (SELECT jsonb_agg(traits ORDER BY traits) FROM (
       SELECT to_jsonb(c) - ${OWN} AS traits FROM pg_class c JOIN parts ON class = 'pg_class'::regclass AND object = c.oid) AS r),
    'types', (SELECT jsonb_agg(to_jsonb(y) - ${OWN} ORDER BY part) FROM pg_type y JOIN parts ON class = 'pg_type'::regclass AND object = y.oid),
    'columns', (SELECT jsonb_agg(to_jsonb(a) - ${OWN} - 'attmissingval' ORDER BY attnum) FROM pg_attribute a WHERE attrelid = ${oid} AND attnum > 0),
    'defaults', (SELECT jsonb_object_agg(adnum, pg_get_expr(adbin, adrelid)) FROM pg_attrdef WHERE adrelid = ${oid}),
    'indexes', (SELECT jsonb_agg(traits ORDER BY traits) FROM (
       SELECT to_jsonb(i) - ${OWN} AS traits FROM pg_index i WHERE indrelid = ${oid}) AS x),
    'constraints', (SELECT jsonb_agg(traits ORDER BY traits) FROM (
       SELECT jsonb_build_array(conkey, pg_get_constraintdef(oid), convalidated) AS traits FROM pg_constraint WHERE conrelid = ${oid}) AS k),
    'dependencies', (SELECT jsonb_agg(jsonb_build_array(traits, times) ORDER BY traits) FROM (
       SELECT traits, count(*) AS times FROM (
         SELECT jsonb_build_array(coalesce(o.part, d.classid::regclass::text), d.objsubid, d.deptype,
                                  coalesce(r.part, format('%s %s', d.refclassid::regclass, d.refobjid)), d.refobjsubid) AS traits
           FROM pg_depend d
           LEFT JOIN parts o ON (o.class, o.object) = (d.classid, d.objid)
           LEFT JOIN parts r ON (r.class, r.object) = (d.refclassid, d.refobjid)
          WHERE o.part IS NOT NULL OR r.part IS NOT NULL) AS e GROUP BY traits) AS e),
    'roles', (SELECT jsonb_agg(traits ORDER BY traits) FROM (
       SELECT jsonb_build_array(part, d.objsubid, d.refclassid, d.refobjid, d.deptype) AS traits FROM pg_shdepend d
         JOIN parts ON (class, object) = (d.classid, d.objid)
        WHERE d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())) AS s),
    'comments', (SELECT count(*) FROM pg_description JOIN parts ON (class, object) = (classoid, objoid)),
    'labels', (SELECT count(*) FROM pg_seclabel JOIN parts ON (class, object) = (classoid, objoid)),
    'subscriptions', (SELECT count(*) FROM pg_subscription_rel WHERE srrelid = ${oid})))`;

export async function isSameTable(db: Queryable, one: Target, other: Target): Promise<boolean> {
  const { same } = await oneRow<{ same: boolean }>(db, `SELECT ${traitsSql(one)} = ${traitsSql(other)} AS same`);
  return same;
}
