/**
 * What every session of the job is: its settings, set after connecting and read back, so that no default of a role, a database
 * or a pooler decides what the job does. Not as `options` of the start-up packet, because PgBouncer refuses those.
 */
import type { ClientBase } from 'pg';
import { ConfigurationError } from '../../core/errors.ts';
import type { Backend } from './connection-watch.ts';
import { QUERY_CANCELED, sqlStateOf } from './database-errors.ts';

/** A default `statement_timeout` of a millisecond may cut off a statement that does nothing. */
const SHORT_STATEMENT_TRIES = 50;

/** As PostgreSQL shows them. One that the server is too old for is left out. The search path is the user's. */
const SETTINGS: Readonly<Record<string, string>> = {
  // Defaults must not kill a COPY or a merge.
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
  transaction_timeout: '0',
  default_transaction_isolation: 'read committed',
  default_transaction_read_only: 'off',
  // What the job sends and reads is in these forms; with fewer digits a time would come back as another.
  TimeZone: 'UTC',
  DateStyle: 'ISO, MDY',
  client_encoding: 'UTF8',
  bytea_output: 'hex',
  extra_float_digits: '1',
  array_nulls: 'on',
  standard_conforming_strings: 'on',
  client_min_messages: 'warning',
  // Names of types and relations are compared as the server writes them.
  quote_all_identifiers: 'off',
  // Off makes an error of every query that a policy filters.
  row_security: 'on',
};
/** They find a dead peer within about a minute. Not read back: a Unix socket has none. */
const KEEPALIVES: Readonly<Record<string, string>> = {
  tcp_keepalives_idle: '30',
  tcp_keepalives_interval: '10',
  tcp_keepalives_count: '3',
};

/** A session that has its settings. */
export interface Session {
  /** Process number of its backend, also behind a pooler: as long as the connection lasts. */
  readonly pid: number;
  /** `null` behind a pooler: there the backend goes on to others when the connection ends. */
  readonly backend: Backend | null;
}

/**
 * Gives a new connection its settings.
 * @throws ConfigurationError when a setting does not stay.
 */
export async function beginSession(client: ClientBase, described: string): Promise<Session> {
  await queryShortly(client, 'SET statement_timeout = 0');
  const asked = { ...SETTINGS, ...KEEPALIVES };
  const set = await client.query<{ pid: number }>(SET_SQL, [Object.keys(asked), Object.values(asked)]);
  const { rows } = await client.query<Found>(READ_BACK_SQL, [Object.keys(SETTINGS)]);
  for (const { name, found, pid } of rows) {
    if (pid !== set.rows[0]?.pid) throw notSessionPooling(described);
    if (found !== null && found !== SETTINGS[name]) throw notAsAsked(described, name, found);
  }
  const { pid = 0, startedAt = null } = rows[0] ?? {};
  return { pid, backend: startedAt !== null && isDirect(client, pid) ? { pid, startedAt } : null };
}

/** Process number of the backend that answers now. */
export async function backendOf(client: ClientBase): Promise<number> {
  const pid = await queryShortly(client, 'SELECT pg_backend_pid() AS pid');
  if (pid === undefined) throw new Error('the server answered a query with no row');
  return pid;
}

/** Whether that backend is the one that was connected to; a pooler gives numbers of its own when one connects. */
export function isDirect(client: ClientBase, backendPid: number): boolean {
  return 'processID' in client && client.processID === backendPid;
}

/** What to say of a pooler whose connections are not sessions. */
export function notSessionPooling(described: string): ConfigurationError {
  return new ConfigurationError(
    `the database ${described} is behind a pooler that may give each transaction or statement another session ` +
      '(pool_mode=transaction or statement), and the job needs sessions that stay: its lock would be left behind. ' +
      'What was merged is safe; connect to PostgreSQL itself, or to a pool with pool_mode=session.',
    { location: { connection: described } },
  );
}

/** Timeouts of the server, the database or the role that the job's sessions set to 0, like `statement_timeout = 150ms`. */
export async function defaultTimeouts(client: ClientBase): Promise<string[]> {
  const { rows } = await client.query<{ text: string }>(
    `SELECT format('%s = %s%s', name, reset_val, unit) AS text FROM pg_settings
      WHERE name = ANY ($1) AND reset_val <> '0' ORDER BY name`,
    [Object.keys(SETTINGS).filter((name) => name.endsWith('_timeout'))],
  );
  return rows.map(({ text }) => text);
}

async function queryShortly(client: ClientBase, text: string): Promise<number | undefined> {
  for (let left = SHORT_STATEMENT_TRIES; ; left -= 1) {
    try {
      const { rows } = await client.query<{ pid: number }>(text);
      return rows[0]?.pid;
    } catch (error) {
      if (sqlStateOf(error) !== QUERY_CANCELED || left <= 1) throw error;
    }
  }
}

function notAsAsked(described: string, name: string, found: string): ConfigurationError {
  return new ConfigurationError(
    `a session of the database ${described} has ${name} = '${found}' right after it was set to '${SETTINGS[name] ?? ''}': ` +
      'something between the job and PostgreSQL, or an extension, changes settings of others. ' +
      'Take it out of the way, or connect to PostgreSQL itself. What was merged is safe.',
    { location: { connection: described } },
  );
}

interface Found {
  readonly pid: number;
  readonly startedAt: string | null;
  readonly name: string;
  readonly found: string | null;
}

/** Commits are waited for whatever the default is: a run that a crash of the server takes back would not be found again. */
const SET_SQL = `
  SELECT pg_backend_pid() AS pid,
         set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), false),
         (SELECT count(set_config(name, value, false)) FROM unnest($1::text[], $2::text[]) AS asked (name, value)
           WHERE current_setting(name, true) IS NOT NULL)`;

const READ_BACK_SQL = `
  SELECT pg_backend_pid() AS pid,
         (SELECT backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()) AS "startedAt",
         name, current_setting(name, true) AS found
    FROM unnest($1::text[]) AS asked (name)`;
