/** The very first connection: can the job work with this server and database, and are enough connections left? */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { ConfigurationError, UnreachableError, describeError } from '../../core/errors.ts';
import type { ConnectionSettings } from './connection-settings.ts';
import {
  NoProgressError,
  classifyDatabaseError,
  connectingError,
  isAboutEncryption,
  isRefusal,
  sqlStateOf,
} from './database-errors.ts';
import type { DatabaseWaits } from './database-waits.ts';
import { oneRow } from './one-row.ts';
import { backendOf, beginSession, isDirect, notSessionPooling } from './session.ts';
import { withinWatchdog } from './watchdog.ts';

/** The oldest PostgreSQL the job works with, as `server_version_num`. */
const OLDEST_SERVER_VERSION = 130_000;
const PAUSE_MS = 300;

export interface ServerNeeds {
  readonly applicationName: string;
  readonly connections: number;
  readonly timeoutMs: number;
}

/** `otherwise`: the server may take a connection that is encrypted otherwise. `later`: it is worth another try. */
type Contact = 'made' | { readonly otherwise: unknown } | { readonly later: string };

/**
 * Tries for `patienceMs`, encrypted and not where both are allowed.
 * @returns the settings with which the server takes connections
 * @throws ConfigurationError when the server cannot be reached, or the job cannot work with it, the database or the pooler
 */
export async function contactServer(
  settings: ConnectionSettings,
  needs: ServerNeeds,
  patienceMs: number,
  waits: DatabaseWaits,
): Promise<ConnectionSettings> {
  const deadlineMs = performance.now() + patienceMs;
  let tried = settings;
  let refusal: unknown = null;
  let endWait = (): void => undefined;
  try {
    for (;;) {
      const contact = await contactOnce(tried, needs, deadlineMs, refusal);
      endWait();
      if (contact === 'made') return tried;
      if ('otherwise' in contact) {
        refusal = contact.otherwise;
        tried = { ...tried, config: tried.otherwise ?? tried.config, otherwise: null };
      } else {
        endWait = waits.begin(contact.later);
        await delay(PAUSE_MS);
      }
    }
  } finally {
    endWait();
  }
}

const NO_SUCH_DATABASE = '3D000';

/** @param refusal of the other way to connect, when that was tried before */
async function contactOnce(
  settings: ConnectionSettings,
  needs: ServerNeeds,
  deadlineMs: number,
  refusal: unknown,
): Promise<Contact> {
  try {
    await checkServer(settings, needs);
    return 'made';
  } catch (error) {
    if (error instanceof ConfigurationError) throw error;
    if (settings.otherwise !== null && isAboutEncryption(error)) return { otherwise: error };
    // A server that refuses both ways has said why in one of its answers; that it has no TLS is the lesser reason.
    const said = refusal !== null && sqlStateOf(error) === null ? refusal : error;
    const reason = settings.redact(describeError(said));
    // While connecting, an error without any code (a closed socket) may come from a server that starts.
    const isTransient =
      !isRefusal(error) && classifyDatabaseError(connectingError('first contact', error)) === 'transient';
    if (isTransient && performance.now() + PAUSE_MS <= deadlineMs) return { later: reason };
    const Refusal = isTransient ? UnreachableError : ConfigurationError;
    throw new Refusal(
      `cannot use the database ${settings.described}: ${reason}. ` +
        `Nothing was changed; check DATABASE_URL and that ${whatToCheck(said)}.`,
      { cause: error, location: { connection: settings.described } },
    );
  }
}

/** What may be wrong where a first contact fails. */
function whatToCheck(error: unknown): string {
  const sqlState = sqlStateOf(error) ?? '';
  if (sqlState === '' && isAboutEncryption(error)) {
    return 'the server has TLS switched on: sslmode=prefer, or disable, does without';
  }
  if (sqlState === NO_SUCH_DATABASE) return 'the database exists; CREATE DATABASE makes it';
  // Class 28: the server does not let this role in.
  return sqlState.startsWith('28')
    ? 'user and password are right, and pg_hba.conf lets them in (in a volume of Docker Compose that version 1.0.0 made, the health check of the service postgres makes the role: docs/operations.md, Upgrading)'
    : 'the server runs and takes connections';
}

/**
 * Nothing is set before it is known that the sessions are the job's own.
 * @throws ConfigurationError when the job cannot work with the server, the database or the pooler; otherwise the server's
 *   own error, or one without a code when too few connections are left.
 */
async function checkServer(settings: ConnectionSettings, needs: ServerNeeds): Promise<void> {
  const clients: pg.Client[] = [];
  try {
    const client = await connect(settings, needs, clients);
    if (!isDirect(client, await backendOf(client))) await checkPooler(settings, needs, clients);
    await beginSession(client, settings.described);
    const found = await oneRow<ServerFacts>(client, FIRST_CONTACT_SQL);
    const problem = problemOf(found);
    if (problem !== null) throw new ConfigurationError(`the database ${settings.described} ${problem}`);
    // The connections that ask are of those that will be free. Not a ConfigurationError: the connections of a run that
    // just died may still be closing, so the caller tries again.
    const left = found.free + clients.length;
    if (left < needs.connections) {
      throw new Error(
        `it has ${left} connections left and the job needs ${needs.connections}: lower --connections or raise max_connections`,
      );
    }
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
  }
}

async function connect(settings: ConnectionSettings, needs: ServerNeeds, clients: pg.Client[]): Promise<pg.Client> {
  const client = new pg.Client({
    ...settings.config,
    application_name: `${needs.applicationName} first contact`,
    connectionTimeoutMillis: needs.timeoutMs,
  });
  client.on('error', () => undefined); // the query in flight reports it
  clients.push(client);
  await client.connect();
  return client;
}

/**
 * Takes as many connections as the job will, and asks each for its backend, to and fro: a session has one of its own and keeps
 * it. A pool that gives backends out by turns (`server_round_robin`) shows, because its turns are not those of the questions.
 */
async function checkPooler(settings: ConnectionSettings, needs: ServerNeeds, clients: pg.Client[]): Promise<void> {
  let served = clients.length;
  const others = Array.from({ length: needs.connections - served }, async () => {
    await backendOf(await connect(settings, needs, clients));
    served += 1;
  });
  try {
    await withinWatchdog('taking connections of a pooler', needs.timeoutMs, Promise.all(others));
  } catch (error) {
    if (!(error instanceof NoProgressError)) throw error;
    throw new Error(
      `its pooler let ${served} of the job's ${needs.connections} connections through within ${needs.timeoutMs / 1000} s: ` +
        'lower --connections, or raise the size of its pool (default_pool_size, max_db_connections)',
    );
  }
  const backends = new Map<pg.Client, number>();
  for (const client of [...clients, ...clients.toReversed()]) {
    const pid = await backendOf(client);
    if (pid !== (backends.get(client) ?? pid)) throw notSessionPooling(settings.described);
    backends.set(client, pid);
  }
  if (new Set(backends.values()).size < clients.length) throw notSessionPooling(settings.described);
}

interface ServerFacts {
  readonly version: number;
  readonly encoding: string;
  readonly free: number;
  readonly in_recovery: boolean;
}

function problemOf(found: ServerFacts): string | null {
  if (found.version < OLDEST_SERVER_VERSION) {
    return `is PostgreSQL ${Math.floor(found.version / 10_000)}; the job needs 13 or newer`;
  }
  if (found.encoding !== 'UTF8') {
    return `has the encoding ${found.encoding}; the job needs a UTF8 database (CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0)`;
  }
  return found.in_recovery ? 'is a read-only standby; the job needs the primary' : null;
}

/** What kind of process another role's is, PostgreSQL shows to few. */
const FIRST_CONTACT_SQL = `
  SELECT current_setting('server_version_num')::int AS version,
         pg_encoding_to_char(d.encoding) AS encoding,
         pg_is_in_recovery() AS in_recovery,
         least(
           current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
             - (SELECT count(*)::int FROM pg_stat_activity WHERE datname IS NOT NULL AND coalesce(backend_type, '') IN ('', 'client backend')),
           CASE WHEN d.datconnlimit < 0 THEN 1000000 ELSE d.datconnlimit
             - (SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database()) END,
           CASE WHEN r.rolconnlimit < 0 THEN 1000000 ELSE r.rolconnlimit
             - (SELECT count(*)::int FROM pg_stat_activity WHERE usename = current_user) END
         ) AS free
    FROM pg_database d, pg_roles r
   WHERE d.datname = current_database() AND r.rolname = current_user`;
