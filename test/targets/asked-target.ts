/**
 * What the target accepts, by asking a copy of it: the events one by one, in the order in which they are served, each under a
 * savepoint, as the job's role and with the conflict rule that the design gives.
 */
import pg from 'pg';
import type { ScriptedEvent } from '../support/scripted-events.ts';
import type { OnConflict } from './drawing.ts';
import { rowOf, type EventRow, type IdTypes } from './source-events.ts';

/** `none`: without an error, and no row was made or changed. `unfit`: its id does not fit, so the target was not asked. */
type Answer = 'took' | 'none' | 'refused' | 'unfit';

export interface Asked {
  readonly event: ScriptedEvent;
  readonly answer: Answer;
  readonly sqlState: string | null;
  /** Also when it was accepted later. */
  readonly wasRefused: boolean;
}

const COLUMNS = [
  'id',
  'session_id',
  'user_id',
  'type',
  'name',
  'properties',
  'occurred_at',
  'device_type',
  'browser',
] as const satisfies readonly (keyof EventRow)[];
/** All that an update may change; no event of a trial has anything for `extra`. */
const CHANGED = [...COLUMNS.filter((name) => name !== 'id'), 'extra'];

/** The design's rule: the newer one wins, on a tie the later one; a row that is the same is not changed. */
function conflictClause(onConflict: OnConflict): string {
  if (onConflict === 'ignore') return 'DO NOTHING';
  const side = (alias: string): string => CHANGED.map((name) => `${alias}.${name}::text`).join(', ');
  return `DO UPDATE SET ${CHANGED.map((name) => `${name} = excluded.${name}`).join(', ')}
    WHERE (t.occurred_at IS NULL OR excluded.occurred_at >= t.occurred_at)
      AND (${side('t')}) IS DISTINCT FROM (${side('excluded')})`;
}

function literal(value: string | null): string {
  return value === null ? 'NULL' : pg.escapeLiteral(value);
}

function insertSql(row: EventRow, onConflict: OnConflict): string {
  return `INSERT INTO public.ingested_events AS t (${COLUMNS.join(', ')}, extra)
    VALUES (${COLUMNS.map((name) => literal(row[name])).join(', ')}, NULL) ON CONFLICT (id) ${conflictClause(onConflict)}`;
}

/** @param url of the copy, as the job's role */
export async function askTarget(
  url: string,
  events: readonly ScriptedEvent[],
  types: IdTypes,
  onConflict: OnConflict,
): Promise<readonly Asked[]> {
  const client = new pg.Client({ connectionString: url, application_name: 'test' });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query('BEGIN; SET CONSTRAINTS ALL IMMEDIATE');
    const asked: Asked[] = [];
    for (const event of events) asked.push(await askOnce(client, event, types, onConflict));
    // A refusal may be over when other rows are there: asked again for as long as that helps. Not where an older event of the
    // same id has got in meanwhile: the newer one would be a change then, and no rule for new rows would see it.
    const ids = asked.map(({ event }) => String(event['id']));
    const isDoubled = (id: string): boolean => ids.indexOf(id) !== ids.lastIndexOf(id);
    for (let helps = true; helps;) {
      helps = false;
      for (const [at, { event, answer }] of asked.entries()) {
        if (answer !== 'refused' || isDoubled(String(event['id']))) continue;
        const again = await askOnce(client, event, types, onConflict);
        if (again.answer === 'refused') continue;
        asked[at] = { ...again, wasRefused: true };
        helps ||= again.answer === 'took';
      }
    }
    await client.query('COMMIT');
    return asked;
  } finally {
    await client.end();
  }
}

async function askOnce(
  client: pg.Client,
  event: ScriptedEvent,
  types: IdTypes,
  onConflict: OnConflict,
): Promise<Asked> {
  const row = rowOf(event, types);
  if (row === null) return { event, answer: 'unfit', sqlState: null, wasRefused: false };
  await client.query('SAVEPOINT event');
  try {
    const { rowCount } = await client.query(insertSql(row, onConflict));
    await client.query('RELEASE SAVEPOINT event');
    return { event, answer: rowCount === 0 ? 'none' : 'took', sqlState: null, wasRefused: false };
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    await client.query('ROLLBACK TO SAVEPOINT event; RELEASE SAVEPOINT event');
    return { event, answer: 'refused', sqlState: error.code ?? null, wasRefused: true };
  }
}
