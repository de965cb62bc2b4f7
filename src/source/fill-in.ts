/**
 * `${NAME}` in a description stands for a variable of the environment, in url, headers, query, body and auth alone. What it
 * stood for is known here and in the requests, and is stored and printed nowhere.
 */
import type { Environment } from '../core/config.ts';
import { ConfigurationError } from '../core/errors.ts';
import type { Auth, Description } from './description.ts';

type JsonObject = NonNullable<Description['body']>;
type Json = JsonObject[string];

/** A description whose requests can be sent. */
export interface FilledDescription {
  /** As it was written. */
  readonly description: Description;
  /** With the values of the variables. */
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly body: JsonObject | null;
  readonly auth: Auth | null;
  /** The parameters of all requests that have a variable in them: as they are written, and as they are sent. */
  readonly hidden: readonly { readonly name: string; readonly written: string; readonly sent: string }[];
  readonly variables: readonly { readonly name: string; readonly value: string }[];
  /** The values of the variables, and what is sent in place of a key: none of them may be printed. */
  readonly secrets: readonly string[];
}

const PLACEHOLDER = /\$\{([A-Za-z_]\w*)\}/g;
const ANY_PLACEHOLDER = /\$\{[^}]*\}?/g;
/** What HTTP takes as the value of a header. */
export const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** The names of the variables in a text. */
export function placeholdersIn(text: string): string[] {
  return [...text.matchAll(PLACEHOLDER)].map(([, name = '']) => name);
}

/** Placeholders that no variable can stand for, as they are written: `${my-key}`, `${`. */
export function brokenPlaceholdersIn(text: string): string[] {
  return [...text.matchAll(ANY_PLACEHOLDER)]
    .map(([found]) => found)
    .filter((found) => placeholdersIn(found).length === 0);
}

/** The names of all variables that the description takes, each once. */
export function variablesOf(description: Description): string[] {
  const names = new Set<string>();
  mapRequest(description, (text) => {
    for (const name of placeholdersIn(text)) names.add(name);
    return text;
  });
  return [...names];
}

/**
 * An empty variable counts as not set.
 * @throws ConfigurationError naming every variable that is not set, and an address or a header that cannot be sent with their values
 */
export function fillIn(description: Description, environment: Environment): FilledDescription {
  const variables = variablesOf(description);
  const unset = variables.filter((name) => valueOf(name, environment) === '');
  if (unset.length > 0) {
    const are = unset.length === 1 ? 'is' : 'are';
    throw new ConfigurationError(
      `The source ${description.name} takes ${unset.join(' and ')} from the environment, which ${are} not set: ` +
        'nothing was asked. Set a variable of this name, or write it into .env.',
    );
  }
  const fill = (text: string): string => text.replaceAll(PLACEHOLDER, (_, name: string) => valueOf(name, environment));
  const filled = mapRequest(description, fill);
  const { auth } = filled;
  const inHeader = auth?.kind === 'bearer' ? auth.token : auth?.kind === 'header' ? auth.value : '';
  if (!HEADER_VALUE.test(inHeader)) throw unfitHeader('of auth', description);
  return {
    ...filled,
    description,
    url: readUrl(filled.url, description),
    headers: checkHeaders(filled.headers, description),
    hidden: parametersOf(description)
      .filter(([, written]) => placeholdersIn(written).length > 0)
      .map(([name, written]) => ({ name, written, sent: fill(written) })),
    variables: variables.map((name) => ({ name, value: valueOf(name, environment) })),
    secrets: [...secretsIn(description, environment), ...(auth?.kind === 'basic' ? [basicToken(auth)] : [])],
  };
}

/** What the variables of a description stand for, as far as they are set. */
export function secretsIn(description: Description, environment: Environment): string[] {
  return variablesOf(description).map((name) => valueOf(name, environment));
}

export function basicToken({ user, password }: Extract<Auth, { kind: 'basic' }>): string {
  return Buffer.from(`${user}:${password}`).toString('base64');
}

function valueOf(name: string, environment: Environment): string {
  return (environment[name] ?? '').trim();
}

function parametersOf({ url, query }: Description): (readonly [name: string, value: string])[] {
  const [, search = ''] = /\?(.*)$/s.exec(url) ?? [];
  return [...new URLSearchParams(search), ...Object.entries(query)];
}

function readUrl(text: string, { name, url: written }: Description): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '') return url;
  throw new ConfigurationError(
    `The url of the source ${name}, ${written}, is no http or https address without a user once its variables are filled in: nothing was asked.`,
  );
}

function checkHeaders(
  headers: Readonly<Record<string, string>>,
  description: Description,
): Readonly<Record<string, string>> {
  const unfit = Object.keys(headers).find((header) => !HEADER_VALUE.test(headers[header] ?? ''));
  if (unfit === undefined) return headers;
  throw unfitHeader(unfit, description);
}

function unfitHeader(header: string, { name }: Description): ConfigurationError {
  return new ConfigurationError(
    `The header ${header} of the source ${name} has a value that HTTP does not take (a line end, or characters beyond Latin-1): nothing was asked.`,
  );
}

function mapRequest({ url, headers, query, body, auth }: Description, map: (text: string) => string) {
  return {
    url: map(url),
    headers: mapValues(headers, map),
    query: mapValues(query, map),
    body: body === undefined ? null : mapObject(body, map),
    auth: auth === undefined ? null : mapAuth(auth, map),
  };
}

function mapValues(values: Readonly<Record<string, string>>, map: (text: string) => string): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, map(value)]));
}

function mapObject(value: JsonObject, map: (text: string) => string): JsonObject {
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, mapJson(member, map)]));
}

function mapJson(value: Json, map: (text: string) => string): Json {
  if (typeof value === 'string') return map(value);
  if (Array.isArray(value)) return value.map((element) => mapJson(element, map));
  return typeof value === 'object' && value !== null ? mapObject(value, map) : value;
}

function mapAuth(auth: Auth, map: (text: string) => string): Auth {
  switch (auth.kind) {
    case 'bearer':
      return { ...auth, token: map(auth.token) };
    case 'basic':
      return { ...auth, user: map(auth.user), password: map(auth.password) };
    case 'header':
    case 'query':
      return { ...auth, value: map(auth.value) };
  }
}
