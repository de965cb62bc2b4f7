/**
 * What people write on command lines, into variables and into `.env`, wrong in every way: the settings are read as they were
 * meant, or refused with one line. Nothing else is thrown, and no secret is said. FUZZ_RUNS (100,000 unless set) settings,
 * FUZZ_SEED runs a seed again.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { HelpShown, commandLine, readSettings, secretsOf, type Settings } from '../../src/core/config.ts';
import { readEnvFile } from '../../src/core/env-file.ts';
import { ConfigurationError } from '../../src/core/errors.ts';
import { createLogging } from '../../src/core/logging.ts';
import { SETTING_GROUPS, SETTINGS } from '../../src/core/settings-table.ts';
import { readDatabaseUrl } from '../../src/load/postgres/connection-settings.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 100_000);
const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31);

/** Parts of secrets are words that occur nowhere else. */
const word = fc.constantFrom('zQ9xk', 'Vw7jq', 'xK4zz', 'qJ8vw');
const special = fc.constantFrom(
  '@',
  '/',
  '?',
  '#',
  ':',
  '%',
  '%40',
  '%zz',
  '%ff',
  '&',
  '=',
  '+',
  '\\',
  "'",
  '"',
  ' ',
  '$',
  '[',
  ']',
  '!',
  '-',
  '1',
  '',
);
const secret = fc
  .array(fc.tuple(fc.oneof(word, fc.constantFrom('12', '5432')), special), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.flat().join(''))
  .filter((text) => /[a-z]/i.test(text.replace(/%[\da-f]{2}/gi, '')));

const encodings = fc.constantFrom<(text: string) => string>((text) => text, encodeURIComponent, encodeURIComponent);
const address = fc
  .record({
    scheme: fc.constantFrom('postgres', 'postgresql', 'http', 'https', 'mysql', 'HTTP'),
    user: fc.constantFrom('user', 'us.er', 'name@server', ''),
    secret,
    encode: encodings,
    host: fc.constantFrom('host.test', '127.0.0.1:5432', 'host.test:6000', '[::1]:5432', ''),
    behind: fc.constantFrom(
      '',
      '/',
      '/db',
      '/api/v1',
      '/db?sslmode=require',
      '/my@db',
      '/db?application_name=a@b',
      '/@me/v1',
      '/db#x',
    ),
  })
  .map(({ scheme, user, secret: password, encode, host, behind }) => ({
    text: `${scheme}://${user === '' ? '' : `${encode(user)}:${encode(password)}@`}${host}${behind}`,
    user,
    password,
    host: host.replace(/:\d+$/, ''),
  }));

const time = fc.oneof(
  fc.constantFrom(
    '2026',
    '1769541612',
    '1769541612369',
    '2026-01-27',
    '2026-02-30',
    '01/02/2026',
    'Room 101',
    '20260127192012',
    '-1',
    '',
  ),
  fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
  fc.string(),
);
const odd = fc.oneof(
  fc.string(),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('0', '1', '-1', 'true', 'auto', '1e9', '10m', '5%', '\r\n', '\u001b[2J', '\0'),
);

const place = fc.constantFrom('variable', 'flag=', 'flag ', 'file', 'quoted', 'npm');
const name = fc.constantFrom(...SETTINGS.map((setting) => setting.name));
const assignment = fc.oneof(
  fc.record({
    name: fc.constantFrom('databaseUrl', 'apiBaseUrl', 'httpProxy', 'httpsProxy'),
    value: address,
    place,
    mistype: fc.nat(20),
  }),
  fc.record({ name: fc.constant('apiKey'), value: secret.map((text) => ({ text })), place, mistype: fc.nat(20) }),
  fc.record({
    name: fc.constantFrom('since', 'until'),
    value: time.map((text) => ({ text })),
    place,
    mistype: fc.nat(20),
  }),
  fc.record({ name, value: odd.map((text) => ({ text })), place, mistype: fc.nat(20) }),
);
const extra = fc.oneof(
  { weight: 30, arbitrary: fc.constant('') },
  { weight: 1, arbitrary: fc.constantFrom('TARGET_API_KEY: zQ9xk', 'zQ9xk', '# comment', 'export', '=', 'A="b') },
);

interface Input {
  readonly argv: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
  readonly file: string | null;
}

function inputOf(
  assignments: readonly (typeof assignment extends fc.Arbitrary<infer T> ? T : never)[],
  line: string,
): Input {
  const argv: string[] = [];
  const variables: Record<string, string> = {};
  const lines: string[] = line === '' ? [] : [line];
  for (const { name: of, value, place: at, mistype } of assignments) {
    const setting = SETTINGS.find((candidate) => candidate.name === of);
    if (setting === undefined) continue;
    const flag = mistype === 1 ? setting.flag.replace(/(.)(.)$/, '$2$1') : setting.flag;
    if (at === 'variable' || setting.variableOnly) variables[setting.variable] = value.text.replaceAll('\0', '');
    else if (at === 'flag=') argv.push(`${flag}=${value.text}`);
    else if (at === 'flag ') argv.push(flag, ...(setting.isSwitch ? [] : [value.text]));
    else if (at === 'npm') variables[`npm_config_${flag.slice(2).replaceAll('-', '_')}`] = value.text;
    else lines.push(`${setting.variable}=${at === 'quoted' ? `"${value.text}"` : value.text}`);
  }
  return { argv, variables, file: lines.length === 0 ? null : `${lines.join('\n')}\n` };
}

/** The settings, or the one line that refuses them. @throws whatever else happens */
function read({ argv, variables, file }: Input, path: string): Settings | string {
  rmSync(path, { force: true });
  if (file !== null) writeFileSync(path, file);
  try {
    const environment = { ...readEnvFile(path, variables), ...variables };
    return readSettings(commandLine('npm start --', '', SETTING_GROUPS), argv, environment);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.message;
    if (error instanceof HelpShown) return 'help';
    throw error;
  }
}

function assertSaysNothing(text: string): void {
  assert.doesNotMatch(text, /zQ9xk|Vw7jq|xK4zz|qJ8vw/, `a secret was said: ${text}`);
}

/** Whoever is let in meant this address so: the host is his, and the password, as written or decoded. */
function assertMeant(
  read: { readonly host: string; readonly password: string },
  meant: { readonly host: string; readonly password: string },
): void {
  assert.equal(read.host, meant.host);
  const meanings = [meant.password, ...decodings(meant.password)];
  if (read.password !== '')
    assert.ok(meanings.includes(read.password), `${read.password} is none of ${meanings.join(' and ')}`);
}

/** What is written as if it were encoded is decoded, as in every URL. */
function decodings(text: string): string[] {
  try {
    return [decodeURIComponent(text)];
  } catch {
    return [];
  }
}

void test(`settings that are wrong in every way (seed ${SEED})`, (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'datasync-settings-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const path = join(folder, '.env');
  let taken = 0;
  fc.assert(
    fc.property(fc.array(assignment, { maxLength: 5 }), extra, (assignments, line) => {
      const settings = read(inputOf(assignments, line), path);
      if (typeof settings === 'string') {
        assert.doesNotMatch(settings.replaceAll(/got "[^"]*"/g, ''), /\n/);
        assertSaysNothing(settings);
        return;
      }
      taken += 1;
      const lines: string[] = [];
      const { logger } = createLogging({
        format: 'json',
        level: 'info',
        secrets: secretsOf(settings),
        write: (text) => lines.push(text),
      });
      if (settings.databaseUrl !== undefined) {
        const { described } = readDatabaseUrl(settings.databaseUrl);
        assertSaysNothing(described);
        logger.info({ described, url: settings.databaseUrl }, `the database at ${settings.databaseUrl} is away`);
      }
      logger.info({ url: settings.apiBaseUrl, key: settings.apiKey ?? '' }, settings.httpProxy ?? '');
      assertSaysNothing(lines.join(''));
    }),
    { numRuns: RUNS, seed: SEED },
  );
  assert.ok(taken > RUNS / 50, `only ${taken} of ${RUNS} settings were taken`);
});

void test('an address that is taken is read as it was meant', () => {
  fc.assert(
    fc.property(address, (meant) => {
      const isDatabase = meant.text.startsWith('postgres');
      const settings = read(
        { argv: [], variables: { [isDatabase ? 'DATABASE_URL' : 'API_BASE_URL']: meant.text }, file: null },
        join(tmpdir(), 'no-such-folder', '.env'),
      );
      if (typeof settings === 'string' || meant.user === '') return;
      if (!isDatabase) {
        const { hostname, password } = new URL(settings.apiBaseUrl);
        assertMeant({ host: hostname, password: decodeURIComponent(password) }, meant);
        return;
      }
      const { config, described } = readDatabaseUrl(settings.databaseUrl ?? '');
      if (described === 'that DATABASE_URL names') return;
      const password = typeof config.password === 'string' ? config.password : '';
      const bare = meant.host.replace(/^\[|\]$/g, '');
      assertMeant({ host: config.host ?? '', password }, { ...meant, host: bare });
    }),
    { numRuns: RUNS, seed: SEED },
  );
});
