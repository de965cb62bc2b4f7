/** `npm run verify`: compares the API's count with the rows of the target, and takes no events. One request or two. */
import { ApiClient, NO_CURSOR, clientOptions, type PageAnswer } from '../api/api-client.ts';
import {
  checkCountsBalance,
  checkCompleteness,
  describeHidden,
  describeShort,
  type Completeness,
} from '../app/run/completeness.ts';
import { isDemo } from '../app/run/job-source.ts';
import { secretsOf, type Environment, type Settings } from '../core/config.ts';
import { ConfigurationError, CountsDisagreeError, type ExitCode } from '../core/errors.ts';
import { isoText } from '../core/iso-text.ts';
import type { Logger } from '../core/logging.ts';
import { encodePage } from '../encode/encode-page.ts';
import type { Database } from '../load/postgres/database.ts';
import { readNewestRun, type StoredRun } from '../load/state/run-reader.ts';
import { reportCommand } from './report-command.ts';

/** The API answers at most once that another endpoint must be asked. */
const MAX_ASKED = 3;
/** Room for a page of one event, whatever its size. */
const MAX_PAGE_BYTES = 64 * 2 ** 20;

/** The command; prints to stdout. Code 0 when nothing is missing, 5 when something is. */
export function verify(argv: readonly string[], environment: Environment): Promise<ExitCode> {
  return reportCommand(argv, environment, {
    name: 'verify',
    description: "Compares the API's count of events with the rows in PostgreSQL. Asks for one event, changes nothing.",
    groups: ['source', 'network'],
    work: async ({ db, settings, isJson, logger }) => {
      const run = await readNewestRun(db);
      if (run === null)
        throw new ConfigurationError(`There is no run in ${db.described} to verify: npm start makes one.`);
      const total = isDemo(settings) ? run.passTotal : await askTotal(settings, logger);
      await report(db, run, total, isJson);
    },
  });
}

/** @throws CountsDisagreeError when events are missing, or the counts of the newest run do not balance */
async function report(db: Database, run: StoredRun, total: number | null, isJson: boolean): Promise<void> {
  const found = await checkCompleteness(db, run.source, total, null);
  const result = { runId: run.runId, runStatus: run.status, ...found };
  process.stdout.write(`${isJson ? JSON.stringify(result, null, 2) : describe(found)}\n`);
  checkCountsBalance(run.counts);
  if (found.short === 0) return;
  throw new CountsDisagreeError(
    `${describeShort(found)}. ` +
      (run.status === 'complete'
        ? `Events that came since the run of ${isoText(run.startedAtMs)} are among them: npm start takes what is new, npm start -- --full walks everything again.`
        : `Run ${run.runId} is not complete: npm start goes on with it.`),
  );
}

function describe(found: Completeness): string {
  const { total, rows, rejected, short, hidden } = found;
  const held = `${rows} rows, ${rejected} events rejected`;
  if (total === null) return `The API does not say how many events it has; the target holds ${held}.`;
  if (hidden > 0) return `The API counts ${total} events; the target holds ${held}. But ${describeHidden(found)}.`;
  return `The API counts ${total} events; the target holds ${held}: ${short === 0 ? 'nothing is missing' : `${short} missing`}.`;
}

/** `meta.total`; null when the API does not say. */
async function askTotal(settings: Settings, logger: Logger): Promise<number | null> {
  if (settings.apiKey === undefined) {
    throw new ConfigurationError('Asking the API for its count needs a key: set TARGET_API_KEY (or --api-key).');
  }
  const client = new ApiClient({
    ...clientOptions(settings),
    baseUrl: settings.apiBaseUrl,
    apiKey: settings.apiKey,
    acceptCompression: false,
    maxPageBytes: MAX_PAGE_BYTES,
    logger,
    secrets: secretsOf(settings),
  });
  try {
    await client.open();
    for (let asked = 1; asked <= MAX_ASKED; asked += 1) {
      const total = readTotal(await askOne(client));
      if (total !== undefined) return total;
    }
    return null;
  } finally {
    await client.close();
  }
}

function askOne(client: ApiClient): Promise<PageAnswer> {
  return client.fetchPage({
    windowId: 0,
    page: 1,
    limit: 1,
    ...NO_CURSOR,
    sinceMs: null,
    untilMs: null,
    signal: new AbortController().signal,
  });
}

/** `undefined`: ask again. */
function readTotal(answer: PageAnswer): number | null | undefined {
  if (answer.kind === 'outside-range') return 0;
  if (answer.kind !== 'page') return undefined;
  const { body, bodyBytes } = answer.page;
  const page = encodePage(new Uint8Array(body, 0, bodyBytes), {
    idColumnTypes: { id: 'text', sessionId: 'text', userId: 'text' },
    firstSourceOrder: 0n,
    maxEventBytes: MAX_PAGE_BYTES,
  });
  return 'fault' in page ? undefined : page.envelope.total;
}
