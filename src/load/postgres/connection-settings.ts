/** From `DATABASE_URL` to what node-postgres takes. */
import type { ClientConfig } from 'pg';
import { parse, toClientConfig } from 'pg-connection-string';
import { ConfigurationError, describeError } from '../../core/errors.ts';
import { Redactor } from '../../core/redaction.ts';

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
