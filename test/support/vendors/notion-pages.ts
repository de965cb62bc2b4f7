/**
 * Notion's `POST /v1/data_sources/{id}/query`, as developers.notion.com/reference/query-a-data-source, /reference/intro, /reference/request-limits,
 * /reference/status-codes and /guides/data-apis/query-large-data-sources say (read 2026-11-27): everything in the body, times cut to the
 * minute, pages shorter than asked, cursors of one query that may die, and 10,000 results a query, after which `has_more` is false as at an
 * end and only `request_status` tells the difference.
 */
import type { TestContext } from 'node:test';
import { z } from 'zod';
import { NOTION_FILTER, selectionOf, type PageTimes } from './notion-filter.ts';
import {
  Digits,
  Draws,
  jsonText,
  retryAfter,
  VendorStub,
  type JsonObject,
  type Limit,
  type Vendor,
  type VendorAnswer,
  type VendorOptions,
  type VendorRequest,
} from './vendor.ts';

export const NOTION_TOKEN = 'ntn_stubStubStubStubStubStubStub';
export const NOTION_DATA_SOURCE = '2f26ee68-df30-4f84-aad5-8dd9f34f6c0b';
/** An average of three a second, counted in a minute. */
export const NOTION_LIMIT: Limit = { requests: 180, windowMs: 60_000 };

const PATH = `/v1/data_sources/${NOTION_DATA_SOURCE}/query`;
const FIRST_VERSION = '2025-09-03';
const MAX_PAGE = 100;
const MAX_RESULTS = 10_000;

const BODY = z.strictObject({
  filter: NOTION_FILTER.optional(),
  sorts: z
    .array(
      z.strictObject({
        timestamp: z.enum(['created_time', 'last_edited_time']),
        direction: z.enum(['ascending', 'descending']),
      }),
    )
    .optional(),
  start_cursor: z.string().optional(),
  page_size: z.number().int().min(1).max(MAX_PAGE).optional(),
  result_type: z.enum(['page', 'data_source']).optional(),
  in_trash: z.boolean().optional(),
});
type Body = z.output<typeof BODY>;

interface Page extends PageTimes {
  readonly id: string;
  readonly json: string;
}

/** Pages of one data source over four years. */
export async function openNotionPages(t: Pick<TestContext, 'after'>, options: VendorOptions): Promise<VendorStub> {
  return VendorStub.open(t, new NotionPages(options), options);
}

class NotionPages implements Vendor {
  readonly records: readonly JsonObject[];
  /** In the order that a query without sorts has, which nothing promises. */
  readonly #pages: readonly Page[];
  readonly #draws: Draws;
  /** Which query a cursor is of, and how many results came before it. */
  readonly #cursors = new Map<string, { readonly query: string; readonly served: number }>();

  constructor({ count, seed = 1 }: VendorOptions) {
    this.#draws = new Draws(seed);
    const made = madePages(this.#draws, count);
    this.records = made.map(({ record }) => record);
    this.#pages = made.map(({ record, ...page }) => ({ ...page, json: jsonText(record) }));
  }

  limitHeaders(): Readonly<Record<string, string>> {
    return { 'x-notion-request-id': this.#draws.uuid() };
  }

  refusal(waitMs: number): VendorAnswer {
    const answer = failure(429, 'rate_limited', 'You have been rate limited. Please try again in a few minutes.');
    return { ...answer, headers: { 'retry-after': retryAfter(waitMs) } };
  }

  answer({ method, url, headers, body, isStale }: VendorRequest): VendorAnswer {
    if (headers.authorization !== `Bearer ${NOTION_TOKEN}`)
      return failure(401, 'unauthorized', 'API token is invalid.');
    const version = headers['notion-version'];
    if (typeof version !== 'string') return failure(400, 'missing_version', 'Notion-Version header should be defined.');
    if (method !== 'POST' || !/^\/v1\/data_sources\/[^/]+\/query$/.test(url.pathname) || version < FIRST_VERSION) {
      return failure(400, 'invalid_request_url', 'Invalid request URL.');
    }
    if (url.pathname !== PATH) return failure(404, 'object_not_found', 'Could not find data source with ID.');
    const unknown = [...url.searchParams.keys()].find((param) => !param.startsWith('filter_properties'));
    if (unknown !== undefined) return invalid(`query failed validation: query.${unknown} should be not present.`);
    if (!(headers['content-type'] ?? '').startsWith('application/json')) {
      return failure(400, 'invalid_json', 'Error parsing JSON body.');
    }
    const asked = parsed(body);
    if (asked === undefined) return failure(400, 'invalid_json', 'Error parsing JSON body.');
    const read = BODY.safeParse(asked);
    if (!read.success) return invalid(`body failed validation: ${z.prettifyError(read.error)}`);
    return this.#page(read.data, isStale);
  }

  #page(body: Body, isStale: boolean): VendorAnswer {
    const { start_cursor: cursor, page_size: size = MAX_PAGE, filter, sorts = [] } = body;
    const query = JSON.stringify({ filter, sorts });
    const place = cursor === undefined ? { query, served: 0 } : this.#cursors.get(cursor);
    if (place?.query !== query || (isStale && cursor !== undefined)) {
      return invalid(`The start_cursor provided is invalid: ${cursor ?? ''}`);
    }
    const fits = inOrder(this.#pages, sorts).filter(selectionOf(filter));
    const reachable = fits.slice(0, MAX_RESULTS);
    // "The response may contain fewer than page_size of results", so one page in ten does.
    const most = this.#draws.chance(0.1) ? 1 + this.#draws.below(size) : size;
    const shown = reachable.slice(place.served, place.served + most);
    const served = place.served + shown.length;
    const hasMore = served < reachable.length;
    const next = hasMore ? this.#draws.uuid() : null;
    if (next !== null) this.#cursors.set(next, { query, served });
    const isCut = fits.length > MAX_RESULTS;
    const status = isCut
      ? ',"request_status":{"type":"incomplete","incomplete_reason":"query_result_limit_reached"}'
      : '';
    const paging = `"next_cursor":${JSON.stringify(next)},"has_more":${hasMore},"type":"page_or_data_source"`;
    const results = shown.map(({ json }) => json).join(',');
    const ends = `"page_or_data_source":{},"request_id":"${this.#draws.uuid()}"${status}`;
    return { body: `{"object":"list","results":[${results}],${paging},${ends}}` };
  }
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    return undefined;
  }
}

/** Of equal values, the order of the data source stays. */
function inOrder(pages: readonly Page[], sorts: NonNullable<Body['sorts']>): readonly Page[] {
  if (sorts.length === 0) return pages;
  return [...pages].sort((one, other) => {
    for (const { timestamp, direction } of sorts) {
      if (one[timestamp] === other[timestamp]) continue;
      return one[timestamp] < other[timestamp] === (direction === 'ascending') ? -1 : 1;
    }
    return 0;
  });
}

function invalid(message: string): VendorAnswer {
  return failure(400, 'validation_error', message);
}

function failure(status: number, code: string, message: string): VendorAnswer {
  const more = code === 'rate_limited' ? { additional_data: { rate_limit_reason: 'connection_rate_limit' } } : {};
  return { status, body: JSON.stringify({ object: 'error', status, code, message, ...more }) };
}

function madePages(draws: Draws, count: number): (Omit<Page, 'json'> & { record: JsonObject })[] {
  const stepMs = Math.max(1, Math.floor(126_000_000_000 / Math.max(1, count)));
  const startedMs = Date.now() - 127_000_000_000;
  const made = Array.from({ length: count }, (_, place) => {
    // Imports make many pages in a minute.
    const createdMs = startedMs + Math.floor(place / 7) * 7 * stepMs;
    const created = minuteText(createdMs);
    const edited = minuteText(createdMs + (draws.chance(0.5) ? 0 : draws.below(900_000_000)));
    const id = draws.uuid();
    const page = { id, created_time: created, last_edited_time: edited };
    return { ...page, record: pageRecord(draws, page) };
  });
  // Shuffled, for nothing promises an order without sorts.
  return made
    .map((page) => ({ page, by: draws.below(2 ** 31) }))
    .sort((one, other) => one.by - other.by)
    .map(({ page }) => page);
}

function pageRecord(draws: Draws, { id, created_time, last_edited_time }: Omit<Page, 'json'>): JsonObject {
  const words = draws.words();
  const annotations = { bold: false, italic: draws.chance(0.5), color: 'default' };
  const title =
    words === ''
      ? []
      : [{ type: 'text', text: { content: words, link: null }, annotations, plain_text: words, href: null }];
  return {
    object: 'page',
    id,
    created_time,
    last_edited_time,
    created_by: { object: 'user', id: draws.uuid() },
    last_edited_by: { object: 'user', id: draws.uuid() },
    cover: draws.chance(0.8) ? null : { type: 'external', external: { url: 'https://example.com/cover.png' } },
    icon: draws.chance(0.5) ? null : { type: 'emoji', emoji: '🙂' },
    parent: { type: 'data_source_id', data_source_id: NOTION_DATA_SOURCE, database_id: draws.uuid() },
    archived: false,
    in_trash: draws.chance(0.02),
    is_locked: draws.chance(0.1),
    properties: {
      Name: { id: 'title', type: 'title', title },
      'Größe (m²)': { id: '%3AUPp', type: 'number', number: number(draws) },
      Due: {
        id: 'M%3BBw',
        type: 'date',
        date: draws.chance(0.5) ? null : { start: '2026-02-29', end: null, time_zone: null },
      },
      Tags: {
        id: 'flsb',
        type: 'multi_select',
        multi_select: draws.chance(0.5) ? [] : [{ id: draws.uuid(), name: draws.words() }],
      },
      Done: { id: 'wxyz', type: 'checkbox', checkbox: draws.chance(0.5) },
    },
    url: `https://www.notion.so/${id.replaceAll('-', '')}`,
    public_url: draws.chance(0.9) ? null : `https://example.notion.site/${id}`,
  };
}

/** As JavaScript writes numbers, and what people put in a cell. */
function number(draws: Draws): null | number | Digits {
  return draws.pick([
    null,
    0,
    draws.below(1_000),
    -0.1,
    new Digits('1e+21'),
    new Digits('1.5e-7'),
    new Digits('9007199254740993'),
  ]);
}

function minuteText(ms: number): string {
  return new Date(Math.floor(ms / 60_000) * 60_000).toISOString();
}
