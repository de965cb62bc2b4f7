/** What PostgreSQL refuses to the job's role, whatever the job does: a person must change something. */
import { ConfigurationError, describeError } from '../../core/errors.ts';
import type { ConnectionSettings } from './connection-settings.ts';
import { sqlStateOf } from './database-errors.ts';

const ADVICE: Readonly<Record<string, string>> = {
  '42501': 'GRANT the role what it lacks', // insufficient_privilege
  '28000': 'let the role log in, or mend DATABASE_URL', // invalid_authorization_specification
  '28P01': 'mend the password in DATABASE_URL', // invalid_password
  '3D000': 'restore the database, or mend DATABASE_URL', // invalid_catalog_name
  '57P04': 'restore the database, or mend DATABASE_URL', // database_dropped
  '53400': 'raise the limit that it names for the role', // configuration_limit_exceeded, for example temp_file_limit
};

/** A ConfigurationError in place of such an error; every other one as it is. @param what was being done */
export function explainRefusal(error: unknown, what: string, settings: ConnectionSettings): unknown {
  const advice = ADVICE[sqlStateOf(error) ?? ''];
  if (advice === undefined) return error;
  const { described, redact } = settings;
  return new ConfigurationError(
    `PostgreSQL refuses something that the job needs (${what}, ${described}: ${redact(describeError(error))}). What was merged is ` +
      `safe: ${advice}, and start again.`,
    { cause: error, location: { connection: described } },
  );
}
