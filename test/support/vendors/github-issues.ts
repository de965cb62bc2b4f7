/**
 * GitHub's `GET /repos/{owner}/{repo}/issues`, as docs.github.com/rest/issues/issues, /using-pagination-in-the-rest-api,
 * /rate-limits-for-the-rest-api and /troubleshooting-the-rest-api say (read 2026-11-27): at most 100 a page, `since` on `updated_at`, a `Link`
 * header, 403 with `x-ratelimit-remaining: 0`. Not documented, and seen by many since April 2025 (google/go-github#3565,
 * josegonzalez/python-github-backup#429): with 100 a page, page 100 is a 422, and the way on is the `after` of the link.
 */
import type { TestContext } from 'node:test';
import {
  Digits,
  Draws,
  jsonText,
  VendorStub,
  type Json,
  type JsonObject,
  type Limit,
  type Vendor,
  type VendorAnswer,
  type VendorOptions,
  type VendorRequest,
  type WindowUse,
} from './vendor.ts';

export const GITHUB_TOKEN = 'ghp_stubStubStubStubStubStubStubStubStub';
export const GITHUB_REPOSITORY = { owner: 'octo-org', name: 'octo-repo' };
export const GITHUB_LIMIT: Limit = { requests: 5_000, windowMs: 3_600_000 };

const PATHS = [`/repos/${GITHUB_REPOSITORY.owner}/${GITHUB_REPOSITORY.name}/issues`, '/repositories/1300192/issues'];
const MAX_PAGE = 100;
const DEFAULT_PAGE = 30;
const DOCS = 'https://docs.github.com/rest';
const WORDS_OF: Readonly<Record<string, readonly string[]>> = {
  state: ['open', 'closed', 'all'],
  sort: ['created', 'updated', 'comments'],
  direction: ['asc', 'desc'],
};

export interface GithubOptions extends VendorOptions {
  /** How many issues in a row, from the middle of the list on, were updated in one and the same second. Default: a few. */
  readonly ofOneSecond?: number;
  /** Page numbers must end before this issue: 10,000 in 2026. */
  readonly pagedIssues?: number;
}

interface Issue {
  readonly id: number;
  readonly state: string;
  readonly comments: number;
  readonly created: string;
  readonly updated: string;
  readonly json: string;
}

/** Issues and pull requests, the oldest of them three years old. */
export async function openGithubIssues(t: Pick<TestContext, 'after'>, options: GithubOptions): Promise<VendorStub> {
  return VendorStub.open(t, new GithubIssues(options), options);
}

class GithubIssues implements Vendor {
  readonly records: readonly JsonObject[];
  readonly #issues: readonly Issue[];
  readonly #sorted = new Map<string, readonly Issue[]>();

  readonly #pagedIssues: number;

  constructor({ count, seed = 1, ofOneSecond = 3, pagedIssues = 10_000 }: GithubOptions) {
    this.#pagedIssues = pagedIssues;
    const made = madeIssues(new Draws(seed), count, ofOneSecond);
    this.records = made.map(({ record }) => record);
    this.#issues = made.map(({ record, ...issue }) => ({ ...issue, json: jsonText(record) }));
  }

  limitHeaders({ requests, used, resetsAtMs }: WindowUse): Readonly<Record<string, string>> {
    const limit = Math.min(requests, GITHUB_LIMIT.requests);
    return {
      'x-ratelimit-limit': String(limit),
      'x-ratelimit-remaining': String(Math.max(0, limit - used)),
      'x-ratelimit-used': String(Math.min(used, limit)),
      'x-ratelimit-reset': String(Math.ceil(resetsAtMs / 1_000)),
      'x-ratelimit-resource': 'core',
      'x-github-api-version-selected': '2022-11-28',
    };
  }

  refusal(): VendorAnswer {
    return failure(403, 'API rate limit exceeded for user ID 1.');
  }

  answer({ method, url, headers }: VendorRequest, origin: string): VendorAnswer {
    if (headers['user-agent'] === undefined) {
      return {
        status: 403,
        headers: { 'content-type': 'text/html' },
        body: 'Request forbidden by administrative rules.',
      };
    }
    if (!/^(bearer|token) /i.test(headers.authorization ?? '')) return failure(404, 'Not Found');
    if (headers.authorization?.split(' ')[1] !== GITHUB_TOKEN) return failure(401, 'Bad credentials');
    if (method !== 'GET' || !PATHS.includes(url.pathname)) return failure(404, 'Not Found');
    return wrongParameter(url.searchParams) ?? this.#page(url.searchParams, origin);
  }

  #page(query: URLSearchParams, origin: string): VendorAnswer {
    const size = Math.min(MAX_PAGE, Number(query.get('per_page') ?? DEFAULT_PAGE));
    const page = Number(query.get('page') ?? 1);
    const after = query.get('after');
    if (after === null && page * size >= this.#pagedIssues) {
      return failure(
        422,
        'Pagination with the page parameter is not supported for large datasets, please use cursor based pagination (after/before)',
      );
    }
    const issues = this.#asked(query);
    const from = after === null ? (page - 1) * size : placeAfter(issues, after);
    const shown = issues.slice(from, from + size);
    const last = shown.at(-1);
    const hasNext = last !== undefined && from + size < issues.length;
    return {
      ...(hasNext ? { headers: { link: linkTo(query, origin, page + 1, last.id) } } : {}),
      body: `[${shown.map(({ json }) => json).join(',')}]`,
    };
  }

  /** Of equal values, the older issue comes first. */
  #asked(query: URLSearchParams): readonly Issue[] {
    const sort = query.get('sort') ?? 'created';
    const direction = query.get('direction') ?? 'desc';
    const state = query.get('state') ?? 'open';
    const since = query.get('since') ?? '';
    const key = `${sort} ${direction}`;
    const sorted = this.#sorted.get(key) ?? inOrder(this.#issues, sort, direction);
    this.#sorted.set(key, sorted);
    return sorted.filter((issue) => (state === 'all' || issue.state === state) && issue.updated >= since);
  }
}

function inOrder(issues: readonly Issue[], sort: string, direction: string): readonly Issue[] {
  const by = (issue: Issue): string =>
    sort === 'comments' ? String(issue.comments).padStart(9, '0') : sort === 'updated' ? issue.updated : issue.created;
  const sign = direction === 'asc' ? 1 : -1;
  return [...issues].sort((one, other) =>
    by(one) < by(other) ? -sign : by(one) > by(other) ? sign : one.id - other.id,
  );
}

function wrongParameter(query: URLSearchParams): VendorAnswer | null {
  for (const [param, words] of Object.entries(WORDS_OF)) {
    const value = query.get(param);
    if (value !== null && !words.includes(value)) return failure(422, `Validation Failed: ${param}`);
  }
  const since = query.get('since');
  if (since !== null && !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(since))
    return failure(422, 'Validation Failed: since');
  for (const param of ['page', 'per_page']) {
    const value = query.get(param);
    if (value !== null && !/^[1-9]\d*$/.test(value)) return failure(422, `Validation Failed: ${param}`);
  }
  return null;
}

function placeAfter(issues: readonly Issue[], after: string): number {
  const id = Number(Buffer.from(after, 'base64').toString().replace('cursor:v2:', ''));
  const place = issues.findIndex((issue) => issue.id === id);
  return place === -1 ? issues.length : place + 1;
}

/** It repeats what was asked, under another path: the vendor's links have the repository's number. */
function linkTo(query: URLSearchParams, origin: string, page: number, id: number): string {
  const next = new URLSearchParams(query);
  next.set('after', Buffer.from(`cursor:v2:${id}`).toString('base64'));
  next.set('page', String(page));
  return `<${origin}/repositories/1300192/issues?${next.toString()}>; rel="next"`;
}

function failure(status: number, message: string): VendorAnswer {
  return { status, body: JSON.stringify({ message, documentation_url: DOCS, status: String(status) }) };
}

type MadeIssue = Omit<Issue, 'json'> & { readonly record: JsonObject };

function madeIssues(draws: Draws, count: number, ofOneSecond: number): MadeIssue[] {
  const startedMs = Date.UTC(2023, 10, 1);
  const from = Math.floor((count - ofOneSecond) / 2);
  let updatedMs = startedMs;
  return Array.from({ length: count }, (_, place) => {
    const isOfTheSecond = place > from && place < from + ofOneSecond;
    if (!isOfTheSecond && !draws.chance(0.2)) updatedMs += 1_000 * (1 + draws.below(3_000));
    const updated = secondsText(updatedMs);
    const created = secondsText(updatedMs - 1_000 * draws.below(5_000_000));
    // In no order of time, as issues are updated; beyond 32 bits.
    const id = 3_000_000_000 + ((place * 7_919) % 1_000_003) * 1_000 + draws.below(1_000);
    const about = { id, state: draws.pick(['open', 'closed']), comments: draws.below(300), created, updated };
    return { ...about, record: issueRecord(draws, about, place + 1) };
  });
}

function issueRecord(draws: Draws, about: Omit<Issue, 'json'>, number: number): JsonObject {
  const api = `https://api.github.com/repos/${GITHUB_REPOSITORY.owner}/${GITHUB_REPOSITORY.name}/issues/${number}`;
  const isClosed = about.state === 'closed';
  return {
    url: api,
    html_url: api.replace('api.github.com/repos', 'github.com'),
    id: about.id,
    node_id: `I_kwDO${draws.hex(12)}`,
    number,
    title: draws.words(),
    user: draws.chance(0.05) ? null : user(draws),
    labels: draws.chance(0.5)
      ? []
      : [{ id: draws.below(1e9), name: draws.words(), color: draws.hex(6), default: false }],
    state: about.state,
    locked: draws.chance(0.05),
    assignee: draws.chance(0.7) ? null : user(draws),
    assignees: [],
    milestone: draws.chance(0.8) ? null : { title: draws.words(), number: draws.below(40), due_on: null },
    comments: about.comments,
    created_at: about.created,
    updated_at: about.updated,
    closed_at: isClosed ? about.updated : null,
    author_association: draws.pick(['NONE', 'MEMBER', 'CONTRIBUTOR']),
    active_lock_reason: null,
    body: draws.chance(0.1) ? null : draws.words(),
    reactions: { url: `${api}/reactions`, total_count: draws.below(30), '+1': draws.below(30), '-1': 0 },
    // A count of another service in a field of an app, which may be of any size.
    issue_field_values: draws.chance(0.9) ? [] : [{ value: new Digits('98765432109876543210.50') }],
    state_reason: isClosed ? draws.pick(['completed', 'not_planned']) : null,
    ...(draws.chance(0.3)
      ? { draft: false, pull_request: { url: api.replace('issues', 'pulls'), merged_at: null } }
      : {}),
  };
}

function user(draws: Draws): Json {
  const login = `octo-${draws.hex(5)}`;
  return { login, id: draws.below(200_000_000), node_id: `U_${draws.hex(10)}`, type: 'User', site_admin: false };
}

function secondsText(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}
