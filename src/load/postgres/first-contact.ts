/** The first connection of all: is this a server and a database the job can work with, and has it room for the job? */
import pg from 'pg';
import { ConfigurationError } from '../../core/errors.ts';
import { OLDEST_SERVER_VERSION, startupOptions } from './connection-settings.ts';
import type { ConnectionSettings } from './connection-settings.ts';

export interface ServerNeeds {
  readonly applicationName: string;
  readonly connections: number;
  readonly timeoutMs: number;
}

/**
 * One try.
 * @returns `server_version_num`.
 * @throws ConfigurationError when the server or the database will not do; the server's own error when it does not take us.
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
    const { rows } = await client.query<{
      version: number;
      encoding: string;
      free: number;
      in_recovery: boolean;
    }>(FIRST_CONTACT_SQL);
    const found = rows[0];
    if (found === undefined) throw new Error('the server answered a query with no row');
    const problem =
      found.version < OLDEST_SERVER_VERSION
        ? `is PostgreSQL ${Math.floor(found.version / 10_000)}; the job needs 13 or newer`
        : found.encoding !== 'UTF8'
          ? `has the encoding ${found.encoding}; the job needs a UTF8 database (CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0)`
          : found.in_recovery
            ? 'is a read-only standby; the job needs the primary'
            : null;
    if (problem !== null) throw new ConfigurationError(`the database ${settings.described} ${problem}`);
    if (found.free + 1 < needs.connections) {
      // Connections of a run that just died are still being cleared away: worth the rest of the 15 s.
      throw Object.assign(
        new Error(
          `it has ${found.free + 1} connections left and the job needs ${needs.connections}: lower --connections or raise max_connections`,
        ),
        { code: 'CONNECTION_LOST' },
      );
    }
    return found.version;
  } finally {
    await client.end().catch(() => undefined);
  }
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
