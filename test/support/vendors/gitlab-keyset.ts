/**
 * GitLab's `GET /api/v4/projects` with keyset pagination, as docs.gitlab.com/api/rest (Keyset-based pagination), /api/projects,
 * /administration/settings/rate_limit_on_projects_api and /user_and_ip_rate_limits say (read 2026-11-27): `order_by` and `sort` must be given, at
 * most 100 a page, the next page only by the `Link` header, an empty page without a link at the end, RateLimit headers, 429 in plain text.
 */
import type { TestContext } from 'node:test';
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
  type WindowUse,
} from './vendor.ts';

export const GITLAB_TOKEN = 'glpat-stubStubStubStubStub';
/** Of this endpoint, for one user. */
export const GITLAB_LIMIT: Limit = { requests: 2_000, windowMs: 600_000 };

const PATH = '/api/v4/projects';
const MAX_PAGE = 100;
const DEFAULT_PAGE = 20;
const ID = /^\d+$/;

interface Project {
  readonly id: number;
  readonly json: string;
}

export async function openGitlabProjects(t: Pick<TestContext, 'after'>, options: VendorOptions): Promise<VendorStub> {
  return VendorStub.open(t, new GitlabProjects(options), options);
}

class GitlabProjects implements Vendor {
  readonly records: readonly JsonObject[];
  /** The smallest id first. */
  readonly #projects: readonly Project[];

  constructor({ count, seed = 1 }: VendorOptions) {
    const made = madeProjects(new Draws(seed), count);
    this.records = made.map(({ record }) => record);
    this.#projects = made.map(({ id, record }) => ({ id, json: jsonText(record) }));
  }

  limitHeaders({ requests, used, resetsAtMs }: WindowUse): Readonly<Record<string, string>> {
    const limit = Math.min(requests, GITLAB_LIMIT.requests);
    return {
      'ratelimit-limit': String(limit),
      'ratelimit-name': 'throttle_authenticated_api',
      'ratelimit-observed': String(used),
      'ratelimit-remaining': String(Math.max(0, limit - used)),
      'ratelimit-reset': String(Math.ceil(resetsAtMs / 1_000)),
    };
  }

  refusal(waitMs: number): VendorAnswer {
    const headers = { 'content-type': 'text/plain', 'retry-after': retryAfter(waitMs) };
    return { status: 429, headers, body: 'Retry later\n' };
  }

  answer({ method, url, headers }: VendorRequest, origin: string): VendorAnswer {
    const token = headers['private-token'] ?? /^Bearer (.*)$/.exec(headers.authorization ?? '')?.[1];
    if (token !== undefined && token !== GITLAB_TOKEN) return failure(401, { message: '401 Unauthorized' });
    if (method !== 'GET' || url.pathname !== PATH) return failure(404, { error: '404 Not Found' });
    return wrongParameter(url.searchParams) ?? this.#page(url.searchParams, origin);
  }

  #page(query: URLSearchParams, origin: string): VendorAnswer {
    const size = Number(query.get('per_page') ?? DEFAULT_PAGE);
    const after = Number(query.get('id_after') ?? -1);
    const before = Number(query.get('id_before') ?? Infinity);
    const isDescending = query.get('sort') === 'desc';
    const asked = this.#projects.filter(({ id }) => id > after && id < before);
    const shown = (isDescending ? asked.toReversed() : asked).slice(0, size);
    const last = shown.at(-1);
    const body = `[${shown.map(({ json }) => json).join(',')}]`;
    if (last === undefined) return { body };
    const next = new URLSearchParams({
      imported: 'false',
      membership: 'false',
      owned: 'false',
      page: '1',
      simple: 'false',
    });
    for (const [param, value] of query) next.set(param, value);
    next.set(isDescending ? 'id_before' : 'id_after', String(last.id));
    return { headers: { link: `<${origin}${PATH}?${next.toString()}>; rel="next"` }, body };
  }
}

function wrongParameter(query: URLSearchParams): VendorAnswer | null {
  const size = query.get('per_page') ?? String(DEFAULT_PAGE);
  if (!ID.test(size) || Number(size) < 1 || Number(size) > MAX_PAGE) {
    return failure(400, { error: 'per_page does not have a valid value' });
  }
  for (const param of ['id_after', 'id_before']) {
    if (!ID.test(query.get(param) ?? '0')) return failure(400, { error: `${param} is invalid` });
  }
  if (!['asc', 'desc'].includes(query.get('sort') ?? 'desc')) {
    return failure(400, { error: 'sort does not have a valid value' });
  }
  // By page numbers this stub does not serve, as the vendor does not for all projects of GitLab.com.
  if (query.get('pagination') !== 'keyset' || query.get('order_by') !== 'id') {
    return failure(405, { error: 'Keyset pagination is not yet available for this type of request' });
  }
  return null;
}

function failure(status: number, body: Readonly<Record<string, string>>): VendorAnswer {
  return { status, body: JSON.stringify(body) };
}

function madeProjects(draws: Draws, count: number): { id: number; record: JsonObject }[] {
  let id = 0;
  let createdMs = Date.UTC(2019, 0, 1);
  return Array.from({ length: count }, () => {
    id += 1 + draws.below(4_000);
    // Rows that are written at the same time may get their ids in another order.
    createdMs += draws.below(4_000);
    return { id, record: projectRecord(draws, id, createdMs - (draws.chance(0.05) ? draws.below(5_000) : 0)) };
  });
}

function projectRecord(draws: Draws, id: number, createdMs: number): JsonObject {
  const path = `group-${draws.hex(4)}/project-${draws.hex(6)}`;
  const web = `https://gitlab.example.com/${path}`;
  return {
    id,
    description: draws.chance(0.3) ? null : draws.words(),
    name: draws.words(),
    name_with_namespace: `Group / ${draws.words()}`,
    path: path.split('/')[1] ?? '',
    path_with_namespace: path,
    created_at: zoned(createdMs, draws),
    updated_at: zoned(createdMs + draws.below(90_000_000), draws),
    default_branch: draws.chance(0.1) ? null : 'main',
    tag_list: [],
    topics: draws.chance(0.6) ? [] : [draws.words(), 'topic'],
    ssh_url_to_repo: `git@gitlab.example.com:${path}.git`,
    http_url_to_repo: `${web}.git`,
    web_url: web,
    readme_url: draws.chance(0.5) ? null : `${web}/-/blob/main/README.md`,
    avatar_url: null,
    forks_count: draws.below(100),
    star_count: draws.below(10_000),
    last_activity_at: zoned(createdMs + draws.below(100_000_000), draws),
    namespace: { id: draws.below(1e6), name: draws.words(), kind: draws.pick(['group', 'user']), parent_id: null },
    visibility: 'public',
    archived: draws.chance(0.1),
    open_issues_count: draws.below(50),
    statistics: {
      commit_count: draws.below(1e5),
      storage_size: new Digits('92233720368547758079'),
      share: new Digits('0.10'),
    },
    container_expiration_policy: draws.chance(0.5) ? null : { cadence: '1d', enabled: false, keep_n: 10 },
  };
}

/** Milliseconds, and the zone of the server that wrote it. */
function zoned(ms: number, draws: Draws): string {
  if (!draws.chance(0.1)) return new Date(ms).toISOString();
  return new Date(ms + 7_200_000).toISOString().replace('Z', '+02:00');
}
