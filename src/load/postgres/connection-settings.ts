/** From `DATABASE_URL` to what node-postgres takes, and the session settings that every connection of the job has. */
import type { ClientConfig } from 'pg';
import { parse, toClientConfig } from 'pg-connection-string';
import { ConfigurationError, describeError } from '../../core/errors.ts';
import { Redactor } from '../../core/redaction.ts';

/** The oldest PostgreSQL the job works with, as `server_version_num`. */
export const OLDEST_SERVER_VERSION = 130_000;

export interface ConnectionSettings {
  readonly config: ClientConfig;
  /** `user@host:port/database`, for messages: never the password. */
  readonly described: string;
  /** Takes the password out of a text, in any spelling the URL may have it in. */
  readonly redact: (text: string) => string;
}

/**
 * Reads a PostgreSQL URL as libpq would: `sslmode=require` encrypts without checking the certificate, unless
 * `sslrootcert` is given; `verify-ca` and `verify-full` check it.
 * @throws ConfigurationError when it is not a URL, or names a CA file that cannot be read.
 */
export function readDatabaseUrl(url: string): ConnectionSettings {
  let config: ClientConfig;
  try {
    const ownCompatSwitch = /[?&]uselibpqcompat=/.test(url);
    config = toClientConfig(parse(url, ownCompatSwitch ? {} : { useLibpqCompat: true }));
  } catch (cause) {
    throw new ConfigurationError(
      `DATABASE_URL cannot be used (${redactUrlPassword(describeError(cause))}); it should look like ` +
        'postgres://user:password@host:5432/database?sslmode=require',
    );
  }
  const host = config.host ?? 'localhost';
  const described = `${config.user ?? ''}@${host}:${config.port ?? 5432}/${config.database ?? config.user ?? ''}`;
  // Messages of a server may quote what it was sent: here a password of three letters is taken out, too.
  const redactor = new Redactor(typeof config.password === 'string' ? [config.password] : [], 3);
  return { config, described: redactor.redact(described), redact: (text) => redactor.redact(text) };
}

function redactUrlPassword(text: string): string {
  return text.replaceAll(/(:\/\/[^:/?#\s]*):[^@/\s]*@/g, '$1:***@');
}

/**
 * Settings of every session of the job, as `options` of the start-up packet, after those of the URL. Timeouts are 0 so that
 * a role's defaults cannot kill a COPY or a merge; keepalives find a dead peer within about a minute. A first statement
 * could not set them instead: a `statement_timeout` of a millisecond would cut it off.
 */
export function startupOptions(serverVersion: number, urlOptions: string | undefined): string {
  const settings = [
    'statement_timeout=0',
    'lock_timeout=0',
    'idle_in_transaction_session_timeout=0',
    'TimeZone=UTC',
    'client_encoding=UTF8',
    'client_min_messages=warning',
    'tcp_keepalives_idle=30',
    'tcp_keepalives_interval=10',
    'tcp_keepalives_count=3',
    'default_transaction_isolation=read\\ committed',
    'default_transaction_read_only=off',
  ];
  if (serverVersion >= 140_000) settings.push('idle_session_timeout=0');
  if (serverVersion >= 170_000) settings.push('transaction_timeout=0');
  const ours = settings.map((setting) => `-c ${setting}`);
  return [...(urlOptions === undefined ? [] : [urlOptions]), ...ours].join(' ');
}
