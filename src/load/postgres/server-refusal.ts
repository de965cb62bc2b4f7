/** What PostgreSQL refuses to the job's role, or cannot do, whatever the job does: a person must change something. */
import pg from 'pg';
import { ConfigurationError, describeError } from '../../core/errors.ts';
import type { ConnectionSettings } from './connection-settings.ts';
import { INTERNAL_ERROR, classifyDatabaseError, isAboutRows, sqlStateOf } from './database-errors.ts';

const DROPPED = 'find out who has dropped it (the next start makes it anew, and takes again what nobody remembers)';
const ADVICE: Readonly<Record<string, string>> = {
  '42501': 'GRANT the role what it lacks', // insufficient_privilege
  '28000': 'let the role log in, or mend DATABASE_URL', // invalid_authorization_specification
  '28P01': 'mend the password in DATABASE_URL', // invalid_password
  '3D000': 'restore the database, or mend DATABASE_URL', // invalid_catalog_name
  '57P04': 'restore the database, or mend DATABASE_URL', // database_dropped
  '53400': 'raise the limit that it names for the role', // configuration_limit_exceeded, for example temp_file_limit
  '3F000': DROPPED, // invalid_schema_name
  '42P01': DROPPED, // undefined_table
};
/** An event trigger, or a trigger on a table of the job's own. */
const RAISED_BY_OTHERS = 'let it spare the job, or take it away';
const SERVER_FAILS =
  "look into the server's log, and at what stands behind the table (triggers, foreign tables, extensions); mend that";

/** A ConfigurationError in place of such an error; every other one as it is. @param what was being done */
export function explainRefusal(error: unknown, what: string, settings: ConnectionSettings): unknown {
  if (!(error instanceof pg.DatabaseError)) return error;
  const advice = adviceFor(error);
  if (advice === null) return error;
  const { described, redact } = settings;
  // The first line names the function that has raised it.
  const [where] = error.where?.split('\n') ?? [];
  const reason = redact(describeError(error) + (where === undefined ? '' : `, in ${where}`));
  return new ConfigurationError(
    `PostgreSQL refuses something that the job needs (${what}, ${described}: ${reason}). What was merged is ` +
      `safe: ${advice}, and start again.`,
    { cause: error, location: { connection: described } },
  );
}

function adviceFor(error: pg.DatabaseError): string | null {
  const kind = classifyDatabaseError(error);
  if (kind === 'transient' || kind === 'disk-full') return null;
  const sqlState = sqlStateOf(error) ?? '';
  const known = ADVICE[sqlState];
  if (known !== undefined) return known;
  // RAISE of PL/pgSQL, whatever SQLSTATE it gives.
  if (error.routine === 'exec_stmt_raise' || sqlState.startsWith('P0')) return RAISED_BY_OTHERS;
  return sqlState === INTERNAL_ERROR || !isAboutRows(error) ? SERVER_FAILS : null;
}
