/** From `DATABASE_URL` to what node-postgres takes. */
import type { ClientConfig } from 'pg';
import { parse, toClientConfig } from 'pg-connection-string';
import { passwordsIn, readAddress } from '../../core/addresses.ts';
import { ConfigurationError, describeError } from '../../core/errors.ts';
import { Redactor, flatten } from '../../core/redaction.ts';

const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'];

export interface ConnectionSettings {
  readonly config: ClientConfig;
  /** How to connect where the server refuses the first way; `null` where `sslmode` leaves no choice. */
  readonly otherwise: ClientConfig | null;
  /** `user@host:port/database`, for messages: never the password. */
  readonly described: string;
  /** Makes a text fit to be shown, which may have come from the server: see redaction.ts. */
  readonly redact: (text: string) => string;
}

/**
 * Reads a PostgreSQL URL as libpq would: `sslmode=require` encrypts without checking the certificate, unless
 * `sslrootcert` is given; `verify-ca` and `verify-full` check it; `prefer` and `allow` take what the server has.
 * `sslrootcert=system` means the authorities that Node trusts.
 * @throws ConfigurationError when it has more than one reading, or names a CA file that cannot be read
 */
export function readDatabaseUrl(url: string): ConnectionSettings {
  const address = readAddress(url);
  if (typeof address === 'string') throw new ConfigurationError(`DATABASE_URL cannot be used: ${address}`);
  const query = new URLSearchParams(address.query);
  const mode = query.get('sslmode');
  if (mode !== null && !SSL_MODES.includes(mode)) {
    throw new ConfigurationError(`DATABASE_URL cannot be used: its sslmode is none of ${SSL_MODES.join(', ')}`);
  }
  const trustsSystem = query.get('sslrootcert') === 'system';
  if (trustsSystem && mode !== null && mode !== 'verify-full') {
    throw new ConfigurationError(
      `DATABASE_URL cannot be used: sslrootcert=system goes with sslmode=verify-full only, because everybody can get a certificate from those authorities`,
    );
  }
  const read = parseAddress(trustsSystem ? withoutRootCertificate(address.text) : address.text);
  const config = { ...read, ...(trustsSystem ? { ssl: {} } : {}) };
  // A name of a database may hold what decodeURI leaves encoded.
  if (typeof config.database === 'string') config.database = decoded(config.database);
  const host = config.host ?? 'localhost';
  const isSocket = host.startsWith('/');
  // Like libpq: nobody listens on a Unix socket.
  if (isSocket) config.ssl = false;
  const described = `${config.user ?? ''}@${host}:${config.port ?? 5432}/${config.database ?? config.user ?? ''}`;
  const redactor = new Redactor(passwordsIn(url));
  return {
    ...(isSocket ? { config, otherwise: null } : waysToConnect(config, mode)),
    described: address.isVeiled ? 'that DATABASE_URL names' : flatten(described),
    redact: (text) => redactor.redact(text),
  };
}

function parseAddress(text: string): ClientConfig {
  try {
    const hasOwnSwitch = /[?&]uselibpqcompat=/.test(text);
    return toClientConfig(parse(text, hasOwnSwitch ? {} : { useLibpqCompat: true }));
  } catch (cause) {
    const reason = new Redactor(passwordsIn(text)).redact(describeError(cause));
    throw new ConfigurationError(
      `DATABASE_URL cannot be used (${reason}); it should look like ` +
        'postgres://<user>:<password>@<host>:5432/<database>?sslmode=require',
    );
  }
}

/** `prefer` begins encrypted and `allow` does not; neither checks a certificate. */
function waysToConnect(config: ClientConfig, mode: string | null): Pick<ConnectionSettings, 'config' | 'otherwise'> {
  const ssl = typeof config.ssl === 'object' ? config.ssl : {};
  const encrypted = { ...config, ssl: { ...ssl, rejectUnauthorized: false } };
  const plain = { ...config, ssl: false };
  if (mode === 'prefer') return { config: encrypted, otherwise: plain };
  return mode === 'allow' ? { config: plain, otherwise: encrypted } : { config, otherwise: null };
}

function withoutRootCertificate(text: string): string {
  return text.replace(/([?&])sslrootcert=system(?=&|$)/, '$1');
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
