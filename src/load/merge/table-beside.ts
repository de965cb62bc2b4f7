/**
 * A table beside the empty target, made as the job makes one, which takes the target's place when it is filled: so nobody waits for the
 * target while rows are moved. It is another relation then, with another object id. Therefore it takes the place only of a table that is
 * as the job makes it in all that the catalog knows: no grant, comment, trigger, view or option of anybody's hangs on it.
 */
import { setTimeout } from 'node:timers/promises';
import type { PoolClient } from 'pg';
import type { IdColumnTypes } from '../../core/encoded-page.ts';
import { LOCK_NOT_AVAILABLE, sqlStateOf } from '../postgres/database-errors.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/identifiers.ts';
import { oneRow } from '../postgres/one-row.ts';
import { definitionOf, hasNoPage, lockTargetAlone } from '../schema/ingested-events.ts';
import { isSameTable } from '../schema/same-table.ts';
import type { Source, Target } from '../schema/source.ts';
import { replaceEmptyTarget } from '../state/target-rows.ts';

/** How often the job asks for the target alone, and how long others have it in between, ms. */
const TRIES = 5;
const BETWEEN_TRIES_MS = 1_000;
/**
 * Who has the target alone waits for nobody, ms. A grant, or a change of the key or of the row type, locks no table: while it is not
 * committed it would keep everybody waiting, and then it would go with the table, unseen.
 */
const REPLACING_PATIENCE_MS = 1;

/**
 * Makes the table. No other session sees its name: when the caller's transaction ends, it is gone, or has the target's.
 * @returns `null` when it could not take the target's place, or somebody uses the target: roll back then
 */
export async function makeTableBeside(
  client: PoolClient,
  { sourceId, target }: Source,
  types: IdColumnTypes,
): Promise<Target | null> {
  const beside = named(target, `ingestion_beside_${sourceId}`);
  await client.query(`CREATE TABLE ${definitionOf(beside, types)}`);
  await client.query('SAVEPOINT look');
  const may = (await lockTargetAlone(client, target, true)) && (await mayTakePlace(client, target, beside));
  await client.query('ROLLBACK TO SAVEPOINT look; RELEASE SAVEPOINT look');
  return may ? beside : null;
}

/**
 * Drops the target, and gives its names to the filled table. The caller's transaction has it alone from then on.
 * @returns false when somebody has changed or filled the target meanwhile, or does not let go of it: roll back to before the table was made
 */
export async function takePlace(client: PoolClient, source: Source, beside: Target): Promise<boolean> {
  for (let tries = 1; ; tries += 1) {
    await client.query('SAVEPOINT place');
    const outcome = await tryToTakePlace(client, source, beside);
    if (outcome === 'taken') return true;
    await client.query('ROLLBACK TO SAVEPOINT place');
    if (outcome === 'touched' || tries === TRIES) return false;
    await setTimeout(BETWEEN_TRIES_MS);
  }
}

async function tryToTakePlace(
  client: PoolClient,
  source: Source,
  beside: Target,
): Promise<'taken' | 'touched' | 'busy'> {
  const { target } = source;
  if (!(await lockTargetAlone(client, target, true))) return 'busy';
  // The row that the catalog has of it is this transaction's then: no grant comes between the look at it and its end.
  const aside = named(target, `ingestion_aside_${source.sourceId}`);
  try {
    await client.query(`SET LOCAL lock_timeout = ${REPLACING_PATIENCE_MS}`);
    const isTaken = await replaceEmptyTarget(client, source, async () => {
      await client.query(`ALTER TABLE ${target.sql} RENAME TO ${quoteIdentifier(aside.name)}`);
      if (!(await mayTakePlace(client, aside, beside))) return false;
      const { rows: constraints } = await client.query<{ is: string; was: string }>(
        `SELECT filled.conname AS is, old.conname AS was
           FROM pg_constraint old JOIN pg_constraint filled USING (contype, conkey)
          WHERE old.conrelid = ${aside.oid} AND filled.conrelid = ${beside.oid}`,
      );
      const renames = constraints.map(
        ({ is, was }) =>
          `; ALTER TABLE ${target.sql} RENAME CONSTRAINT ${quoteIdentifier(is)} TO ${quoteIdentifier(was)}`,
      );
      await client.query(
        `DROP TABLE ${aside.sql}; ALTER TABLE ${beside.sql} RENAME TO ${quoteIdentifier(target.name)}${renames.join('')}`,
      );
      return true;
    });
    await client.query('SET LOCAL lock_timeout = 0');
    return isTaken ? 'taken' : 'touched';
  } catch (error) {
    if (sqlStateOf(error) === LOCK_NOT_AVAILABLE) return 'busy';
    throw error;
  }
}

/** The same under another name. */
function named(target: Target, name: string): Target {
  const sql = `public.${quoteIdentifier(name)}`;
  return { ...target, name, sql, oid: `to_regclass(${quoteLiteral(sql)})` };
}

/**
 * Under its lock. A file without a page: no transaction, however old, sees a row in it. Event triggers and logical decoding would see the
 * tables change, and be told names that nobody knows.
 */
async function mayTakePlace(client: PoolClient, target: Target, beside: Target): Promise<boolean> {
  const { isWatched } = await oneRow<{ isWatched: boolean }>(
    client,
    `SELECT EXISTS (SELECT FROM pg_event_trigger WHERE evtenabled <> 'D')
         OR EXISTS (SELECT FROM pg_replication_slots WHERE slot_type = 'logical' AND database = current_database()) AS "isWatched"`,
  );
  return !isWatched && (await hasNoPage(client, target)) && (await isSameTable(client, target, beside));
}
