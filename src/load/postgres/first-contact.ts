/** The very first connection: can the job work with this server and database, and are enough connections left? */
import pg from 'pg';
import { ConfigurationError } from '../../core/errors.ts';
import { OLDEST_SERVER_VERSION, startupOptions, type ConnectionSettings } from './connection-settings.ts';

export interface ServerNeeds {
  readonly applicationName: string;
  readonly connections: number;
  readonly timeoutMs: number;
}

/**
 * One try.
 * @returns `server_version_num`.
 * @throws ConfigurationError when the job cannot work with the server or the database; otherwise the server's own error,
 *   or one without a code when too few connections are left.
 */
export async function contactServer(settings: ConnectionSettings, needs: ServerNeeds): Promise<number> {
  const client = new pg.Client({
    ...settings.config,
    application_name: `${needs.applicationName} first contact`,
    options: startupOptions(0, settings.config.options),
    connectionTimeoutMillis: needs.timeoutMs,
  });
  client.on('error', () => undefined); // the query in flight reports it
  try {
    await client.connect();
    const { rows } = await client.query<ServerFacts>(FIRST_CONTACT_SQL);
    const found = rows[0];
    if (found === undefined) throw new Error('the server answered a query with no row');
    const problem = problemOf(found);
    if (problem !== null) throw new ConfigurationError(`the database ${settings.described} ${problem}`);
    // The connection that asks is one of those that will be free. Not a ConfigurationError: the connections of a run that
    // just died may still be closing, so the caller tries again.
    if (found.free + 1 < needs.connections) {
      throw new Error(
        `it has ${found.free + 1} connections left and the job needs ${needs.connections}: lower --connections or raise max_connections`,
      );
    }
    return found.version;
  } finally {
    await client.end().catch(() => undefined);
  }
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

const FIRST_CONTACT_SQL = `
  SELECT current_setting('server_version_num')::int AS version,
         pg_encoding_to_char(d.encoding) AS encoding,
         pg_is_in_recovery() AS in_recovery,
         least(
           current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
             - (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend'),
           CASE WHEN d.datconnlimit < 0 THEN 1000000 ELSE d.datconnlimit
             - (SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database()) END,
           CASE WHEN r.rolconnlimit < 0 THEN 1000000 ELSE r.rolconnlimit
             - (SELECT count(*)::int FROM pg_stat_activity WHERE usename = current_user) END
         ) AS free
    FROM pg_database d, pg_roles r
   WHERE d.datname = current_database() AND r.rolname = current_user`;
