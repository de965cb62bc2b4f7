/**
 * Addresses that people write, with a user and a password in them. They are taken apart only where there is one reading; of
 * another nothing is used, and nothing is shown.
 *
 *   postgres://user:12/34secret@host/db     is the password 12/34secret, or 12 the port of a host named user?
 *              └ auth.┘└── path ──────┘
 */

const HOW_TO_WRITE = 'write %40 for @, %2F for /, %3F for ?, %23 for #, %3A for : and %25 for %';

export interface Address {
  /** As written, but each `%` begins an encoded character, and a space is one: URL and others read it without a doubt. */
  readonly text: string;
  /** Decoded; empty when it has none. */
  readonly user: string;
  readonly password: string;
  /** As it stands in `text`. */
  readonly encodedPassword: string;
  /** Host, port and path, as written. */
  readonly behind: string;
  /** As written, with its question mark. */
  readonly query: string;
  /** It can be used, but somebody may have meant it otherwise: no part of it may be shown. */
  readonly isVeiled: boolean;
}

/** What stands where, as written. For http, URL takes a backslash for a slash. */
const PARTS = /^([a-z][a-z\d+.-]*:\/\/)([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?$/is;
const HTTP_PARTS = /^(https?:\/\/)([^/?#\\]*)([^?#]*)(\?[^#]*)?(#.*)?$/is;

/** @returns a string when it has more than one reading, or is no address: why, and what to do. It quotes nothing. */
export function readAddress(written: string): Address | string {
  const isHttp = /^http/i.test(written);
  const match = (isHttp ? HTTP_PARTS : PARTS).exec(written);
  if (match === null) return 'it is no address';
  const [, scheme = '', authority = '', path = '', query = '', fragment = ''] = match;
  const userEnd = authority.lastIndexOf('@');
  if (hasTwoReadings(authority, path, query, fragment, isHttp)) {
    return `an @ stands behind what looks like the host, so it has more than one reading: in a user or password ${HOW_TO_WRITE}`;
  }
  const [user = '', ...rest] = authority.slice(0, Math.max(0, userEnd)).split(':');
  const password = rest.join(':');
  const host = authority.slice(userEnd + 1);
  const parts = [user, password, ...(isHttp ? [] : [host, path, query])].map(encodeBarePercents);
  if (parts.includes(null)) {
    return `some % in it begin an encoded character and others do not, so it has more than one reading: ${HOW_TO_WRITE}`;
  }
  const [safeUser = '', safePassword = '', ...behind] = parts.map((part) => (part ?? '').replaceAll(' ', '%20'));
  const named = userEnd === -1 ? '' : `${safeUser}${rest.length === 0 ? '' : `:${safePassword}`}@`;
  return {
    text: `${scheme}${named}${(isHttp ? [host, path, query] : behind).join('')}${fragment}`,
    user: decodeURIComponent(safeUser),
    password: decodeURIComponent(safePassword),
    encodedPassword: safePassword,
    behind: `${host}${path}`,
    query,
    isVeiled: !isHttp && path.includes('@'),
  };
}

/** Whether an @ behind the authority may be the one that ends user and password. */
function hasTwoReadings(authority: string, path: string, query: string, fragment: string, isHttp: boolean): boolean {
  if (fragment.includes('@')) return true;
  const isNamed = authority.includes('@');
  if (query.includes('@')) {
    // A value may hold an @: a user `name@server`, or the name of an application.
    const isPlain = /^\?([a-z][a-z_-]{2,}=[^&]*(&|$))*$/i.test(query);
    if (!isPlain || (!isNamed && path.length < 2)) return true;
  }
  const at = path.lastIndexOf('@');
  if (at === -1) return false;
  // `user:password@host/my@database` is an address; `user:p@ss/word@host/database` is one with two readings.
  if (isNamed) return isHttp || /[/:]/.test(path.slice(at));
  return `${authority}${path.slice(0, at)}`.includes(':');
}

/**
 * Text in which each `%` begins an encoded character: where none does, each stands for itself. `null` where some do and
 * others do not.
 */
function encodeBarePercents(text: string): string | null {
  if (isDecodable(text)) return text;
  const encoded = text.match(/(%[\da-f]{2})+/gi) ?? [];
  return encoded.some(isDecodable) ? null : text.replaceAll('%', '%25');
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

/** The words that an address consists of, as written. */
function wordsOf(address: string): string[] {
  return address
    .replace(/^[a-z]*:\/\//i, '')
    .split(/[:/?#@&=]+/)
    .filter((word) => word !== '');
}

/**
 * The passwords of an address that can be told from its other words, as written and decoded. Of a veiled address, every word
 * may be a part of one.
 */
export function passwordsIn(address: string): string[] {
  const read = readAddress(address);
  if (typeof read === 'string') return wordsOf(address);
  const named = [read.password, read.encodedPassword, encodeURIComponent(read.password)];
  if (read.isVeiled) return [...named, ...wordsOf(address)];
  const query = new URLSearchParams(read.query);
  const passwords = [...named, query.get('password') ?? '', query.get('sslpassword') ?? ''];
  const others = new Set(['', read.user, query.get('user'), ...wordsOf(read.behind)]);
  return [...new Set(passwords)].filter((password) => !others.has(password));
}

/** The value of an `Authorization` or `Proxy-Authorization` header; `null` when the address names nobody. */
export function basicCredentials(address: string): string | null {
  const read = readAddress(address);
  if (typeof read === 'string' || (read.user === '' && read.password === '')) return null;
  return `Basic ${Buffer.from(`${read.user}:${read.password}`).toString('base64')}`;
}
