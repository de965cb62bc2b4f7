/**
 * From where to where: the API and the database that the settings name, or what stands in for them.
 *
 *   a described source     its API; its keys are variables that its description names
 *   key and database set   the API into that database
 *   key alone              the API into the embedded PostgreSQL
 *   database or API alone  refused: there is no key to ask with
 *   neither, or the demo   the simulator into the embedded PostgreSQL, in a database of its own
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Settings } from '../../core/config.ts';
import { ConfigurationError } from '../../core/errors.ts';
import type { Logger } from '../../core/logging.ts';
import { SETTINGS } from '../../core/settings-table.ts';
import { startEmbeddedPostgres } from '../../embedded-postgres/embedded-postgres.ts';
import type { JobSource } from '../job-options.ts';
import type { DescribedSource } from './described-source.ts';

/** The demo's events must never mix with real ones: a database and an address of its own, the same at every start. */
export const DEMO_DATABASE = 'demo';
const DEMO_ADDRESS = 'demo (simulated events)';
const DEMO_EVENTS = 300_000;
const DEMO_KEY = 'demo';

export interface OpenedSource extends JobSource {
  /** Stops what was started for it: the simulator, the embedded database. */
  close(): Promise<void>;
}

export function isDemo(settings: Pick<Settings, 'apiKey' | 'databaseUrl'>): boolean {
  return settings.apiKey === undefined && settings.databaseUrl === undefined;
}

/** Which data set the settings name: what the runs of a source remember. */
export function addressOf(settings: Pick<Settings, 'apiKey' | 'databaseUrl' | 'apiBaseUrl'>): string {
  return isDemo(settings) ? DEMO_ADDRESS : dataSetAddress(settings.apiBaseUrl);
}

/**
 * @param asDemo whatever is configured
 * @param described `null`: DataSync
 * @throws ConfigurationError when the address of a database or an API is set and no key, or no embedded database is to be had; for
 *   `--id-type`, where a description says it
 */
export async function openSource(
  settings: Settings,
  asDemo: boolean,
  logger: Logger,
  described: DescribedSource | null = null,
): Promise<OpenedSource> {
  const isApiNamed = settings.apiBaseUrl !== SETTINGS.find(({ name }) => name === 'apiBaseUrl')?.default;
  if (asDemo || (described === null && isDemo(settings) && !isApiNamed)) return openDemo(settings, logger);
  if (described === null && settings.apiKey === undefined) {
    const found = settings.databaseUrl === undefined ? 'API_BASE_URL is set,' : 'There is a database address';
    throw new ConfigurationError(
      `${found} but no key of the API: set TARGET_API_KEY (or --api-key). ` +
        'To see the program at work without a key: npm run demo.',
    );
  }
  if (described !== null && settings.idType !== 'auto') {
    throw new ConfigurationError(
      `--id-type ${settings.idType} (ID_TYPE) is for DataSync alone, and the source is ${described.name}: columns.id of its description ` +
        'says which type its ids have. Nothing was asked: leave the flag out.',
    );
  }
  const { source: name, apiBaseUrl, apiKey = '' } = settings;
  const address = described?.address ?? dataSetAddress(apiBaseUrl);
  const baseUrl = described?.url.href ?? apiBaseUrl;
  const { plan, table } = described ?? {};
  const api = { name, address, baseUrl, apiKey: described === null ? apiKey : '', described, plan, table };
  if (settings.databaseUrl !== undefined) {
    return { ...api, databaseUrl: settings.databaseUrl, close: () => Promise.resolve() };
  }
  const postgres = await startEmbeddedPostgres({ dataDir: embeddedDataDir(settings), logger });
  return { ...api, databaseUrl: postgres.url, reviveDatabase: () => postgres.revive(), close: () => postgres.stop() };
}

/** Where the embedded PostgreSQL belongs. */
export function embeddedDataDir(settings: Pick<Settings, 'dataDir'>): string {
  return join(settings.dataDir, 'postgres');
}

async function openDemo(settings: Settings, logger: Logger): Promise<OpenedSource> {
  logger.info(
    `This is the demo: ${DEMO_EVENTS.toLocaleString('en')} simulated events into an embedded PostgreSQL. ` +
      'For the real thing set TARGET_API_KEY, API_BASE_URL and, for a database of your own, DATABASE_URL (flags, variables or .env).',
  );
  const postgres = await startEmbeddedPostgres({ dataDir: embeddedDataDir(settings), logger });
  const { startSimulator } = await import('../../simulator/simulator.ts');
  const simulator = await startSimulator({ events: DEMO_EVENTS });
  return {
    name: settings.source,
    address: DEMO_ADDRESS,
    baseUrl: simulator.baseUrl,
    apiKey: DEMO_KEY,
    databaseUrl: await postgres.urlFor(DEMO_DATABASE),
    reviveDatabase: () => postgres.revive(),
    close: async () => {
      await Promise.allSettled([simulator.close(), postgres.stop()]);
    },
  };
}

/**
 * Words of a parameter's name that make its value nobody's business: of `api_key`, `x-access-token`, `apiKey`, `KEY`. Whole
 * ones: `author` and `keyword` select events.
 */
const SECRET_WORDS = new Set([
  'key',
  'apikey',
  'token',
  'secret',
  'password',
  'passwd',
  'pwd',
  'auth',
  'authorization',
  'signature',
  'sig',
]);
/** Enough to tell a few keys apart, too little to try one out by. */
const HASH_CHARACTERS = 8;

/**
 * The API's address, what two starts must agree on: without user and password, and a short hash in place of secrets, because
 * another key in the address may select other events.
 */
function dataSetAddress(baseUrl: string): string {
  const url = new URL(baseUrl);
  const shown = [...url.searchParams].map(([name, value]): [string, string] => [
    name,
    isSecret(name) ? createHash('sha256').update(value).digest('hex').slice(0, HASH_CHARACTERS) : value,
  ]);
  const query = shown.length === 0 ? '' : `?${new URLSearchParams(shown).toString()}`;
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}${query}`;
}

function isSecret(parameter: string): boolean {
  const words = parameter
    .replace(/([a-z\d])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z\d]+/);
  return words.some((word) => SECRET_WORDS.has(word));
}
