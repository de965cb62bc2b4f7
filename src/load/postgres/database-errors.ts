/**
 * What an error from PostgreSQL or from its socket means for the job. Decided by SQLSTATE and errno, never by message
 * text; an error that is not listed is terminal.
 */
import pg from 'pg';

/**
 * - `transient`: the server is away, full of clients, or gave up on one transaction: a second try may succeed.
 * - `disk-full`: trying again makes it worse; the state is intact.
 * - `data`: the server refused a row; the other rows of its page or merge are fine.
 * - `terminal`: needs a person.
 */
export type DatabaseErrorClass = 'transient' | 'disk-full' | 'data' | 'terminal';

/** A connection ended under a statement: whether the statement took effect is not known. */
export class ConnectionLostError extends Error {
  constructor(purpose: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(`lost the connection to PostgreSQL during ${purpose}: ${reason}`, { cause });
    this.name = new.target.name;
  }
}

/** A statement made no progress within its watchdog: throw the connection away and terminate its backend. */
export class NoProgressError extends ConnectionLostError {
  constructor(purpose: string, watchdogMs: number) {
    super(purpose, `no progress for ${watchdogMs} ms`);
  }
}

/** The SQLSTATE of a field whose length does not fit its type; and of whatever troubles a pooler. */
export const PROTOCOL_VIOLATION = '08P01';
/** The SQLSTATE of an error that nobody has given one: bugs of the server have it, and refusals of extensions and of their functions. */
export const INTERNAL_ERROR = 'XX000';
/** The SQLSTATE of a lock that was not had within `lock_timeout`, or at once where NOWAIT asks for that. */
export const LOCK_NOT_AVAILABLE = '55P03';
/** The SQLSTATE of the one of several sessions waiting for each other that PostgreSQL has ended. */
export const DEADLOCK_DETECTED = '40P01';
/** The SQLSTATE of a statement that somebody, or a timeout, has canceled. */
export const QUERY_CANCELED = '57014';

const TRANSIENT_SQLSTATES: ReadonlySet<string> = new Set([
  QUERY_CANCELED, // by somebody else, not by the job; see outage.ts for a timeout
  '57P01', // admin_shutdown, also pg_terminate_backend
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now: starting, stopping or recovering
  '57P05', // idle_session_timeout
  '25P03', // idle_in_transaction_session_timeout
  '25P04', // transaction_timeout
  '25006', // read_only_sql_transaction: a failover left us on the standby for a moment
  '53000', // insufficient_resources
  '53200', // out_of_memory
  '53300', // too_many_connections
  '40001', // serialization_failure
  '40003', // statement_completion_unknown
  DEADLOCK_DETECTED,
  LOCK_NOT_AVAILABLE,
]);

const TRANSIENT_ERRNOS: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT', // the Unix socket of a server that restarts
]);

/** SQLSTATEs outside classes 22 and 23 by which a server refuses one row. */
const DATA_SQLSTATES: ReadonlySet<string> = new Set([
  'P0001', // raise_exception: a trigger refused the row
  '21000', // cardinality_violation: a trigger inserted a row that the same statement updates
  '44000', // with_check_option_violation
  '54000', // program_limit_exceeded, for example an index row that is too long
]);

/**
 * What is surely not about a row, by class and by SQLSTATE: resources, operators, the system, deadlocks, the transaction, foreign
 * servers, connections, locks, and what is corrupted. A trigger may give a row's refusal every other code; what extensions refuse
 * has {@link INTERNAL_ERROR}.
 */
export const NOT_ABOUT_ROWS = {
  classes: ['53', '57', '58', '40', '25', 'HV', '08'],
  states: [LOCK_NOT_AVAILABLE, '55006', '55P04', 'XX001', 'XX002'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/** Whether the server may have refused the rows of a statement, and not the statement: leaving a row out shows it. */
export function isAboutRows(error: unknown): boolean {
  const sqlState = sqlStateOf(error);
  if (sqlState === null) return false;
  const { classes, states } = NOT_ABOUT_ROWS;
  return !classes.some((name) => sqlState.startsWith(name)) && !states.some((state) => state === sqlState);
}

/** The SQLSTATE of a server's error, or `null` when the error did not come from the server. */
export function sqlStateOf(error: unknown): string | null {
  return error instanceof pg.DatabaseError && typeof error.code === 'string' ? error.code : null;
}

/** Whether the error names its reason itself: it has a code (a SQLSTATE, an errno, a JobError's), or it is one of the above. */
export function isExplained(error: unknown): boolean {
  return error instanceof ConnectionLostError || codeOf(error) !== null;
}

/** What node-postgres says when a server has no TLS; it gives no code. */
const NO_TLS = 'The server does not support SSL connections';
/** The SQLSTATE by which a server refuses a connection that is, or is not, encrypted: pg_hba.conf has no line for it. */
const NOT_AUTHORIZED = '28000';

/** Whether the same server may take a connection that is encrypted otherwise. */
export function isAboutEncryption(error: unknown): boolean {
  return sqlStateOf(error) === NOT_AUTHORIZED || (error instanceof Error && error.message === NO_TLS);
}

/** A refusal without a code, found by node-postgres itself: no TLS, or a password that is asked for and was not given. */
export function isRefusal(error: unknown): boolean {
  return (
    error instanceof Error && codeOf(error) === null && (error.message === NO_TLS || /^SASL: /.test(error.message))
  );
}

/** See {@link DatabaseErrorClass}. */
export function classifyDatabaseError(error: unknown): DatabaseErrorClass {
  if (error instanceof ConnectionLostError) return 'transient';
  const sqlState = sqlStateOf(error);
  // Several addresses of one host (happy eyeballs) fail together as an AggregateError whose own code is the first one's.
  if (sqlState === null) return TRANSIENT_ERRNOS.has(codeOf(error) ?? '') ? 'transient' : 'terminal';
  if (sqlState === '53100') return 'disk-full';
  // A pooler's troubles of this code have become a ConnectionLostError: see `connectingError` and `Connections.use`.
  if (sqlState === PROTOCOL_VIOLATION) return 'data';
  if (sqlState.startsWith('08') || TRANSIENT_SQLSTATES.has(sqlState)) return 'transient';
  if (sqlState.startsWith('22') || sqlState.startsWith('23') || DATA_SQLSTATES.has(sqlState)) return 'data';
  return 'terminal';
}

/** The SQLSTATE of a database that takes no connections for now: somebody has shut it for maintenance. */
const NOT_IN_STATE = '55000';

/**
 * What an error means that came before the connection was ready. Without a code the socket was closed or timed out; a
 * protocol violation is a pooler that has no connection to give.
 */
export function connectingError(purpose: string, error: unknown): unknown {
  const sqlState = sqlStateOf(error);
  if (isExplained(error) && sqlState !== PROTOCOL_VIOLATION && sqlState !== NOT_IN_STATE) return error;
  return new ConnectionLostError(`connecting for ${purpose}`, error);
}

function codeOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}
