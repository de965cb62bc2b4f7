/** How many events the API says it has, asked for with few events. */
import { ApiClient, clientOptions, newestEvents, type PageAnswer } from '../api/api-client.ts';
import { decodeBody } from '../core/body-decoding.ts';
import { secretsOf, type Settings } from '../core/config.ts';
import { ConfigurationError } from '../core/errors.ts';
import type { Logger } from '../core/logging.ts';
import type { DescribedSource } from '../app/run/described-source.ts';
import { encodePage } from '../encode/encode-page.ts';
import { compilePlan } from '../encode/plan/compiled-plan.ts';
import type { ReadAnswer } from '../threads/page-encoder.ts';

/** The API answers at most once that another endpoint must be asked; each time it is asked for other events, past its caches. */
const MAX_ASKED = 3;
/** Room for a page of few events, whatever their size. */
const MAX_PAGE_BYTES = 64 * 2 ** 20;

/**
 * `meta.total`; `null` when the API does not say, or its caches answer.
 * @throws ConfigurationError without a key; KeyRefusedError, GaveUpError
 */
export async function askTotal(
  settings: Settings,
  described: DescribedSource | null,
  logger: Logger,
): Promise<number | null> {
  if (described === null && settings.apiKey === undefined) {
    throw new ConfigurationError('Asking the API for its count needs a key: set TARGET_API_KEY (or --api-key).');
  }
  if (described?.hasTotal === false) return null;
  const client = new ApiClient({
    ...clientOptions(settings),
    wire: described?.wire(settings.userAgent) ?? null,
    baseUrl: settings.apiBaseUrl,
    apiKey: settings.apiKey ?? '',
    acceptCompression: false,
    maxPageBytes: MAX_PAGE_BYTES,
    logger,
    secrets: [...secretsOf(settings), ...(described?.secrets ?? [])],
  });
  const readAnswer = described?.answerReader() ?? null;
  try {
    await client.open();
    for (let asked = 1; asked <= MAX_ASKED; asked += 1) {
      const answer = await client.fetchPage(newestEvents(1, asked, new AbortController().signal));
      const total = readTotal(answer, described, readAnswer);
      if (total !== undefined) return total;
    }
    return null;
  } finally {
    await client.close();
  }
}

/** `undefined`: ask again. What is no page, or is as old as a cache, says nothing of a count. */
function readTotal(
  answer: PageAnswer,
  described: DescribedSource | null,
  readAnswer: ReadAnswer | null,
): number | null | undefined {
  if (answer.kind !== 'page' || answer.page.fromCache) return undefined;
  const { body, bodyBytes, contentEncoding } = answer.page;
  const decoded = decodeBody(body, bodyBytes, contentEncoding);
  if ('fault' in decoded) return undefined;
  const page = encodePage(new Uint8Array(decoded.body, 0, decoded.bodyBytes), {
    ...(described === null ? {} : { plan: compilePlan(described.plan) }),
    idColumnTypes: {},
    firstSourceOrder: 0n,
    maxEventBytes: MAX_PAGE_BYTES,
  });
  if ('fault' in page) return undefined;
  if (page.quoted === null || readAnswer === null) return page.envelope.total;
  const said = readAnswer(answer.page, page.quoted, page.servedCount);
  return 'fault' in said ? undefined : said.total;
}
