/** Each shipped description, held against a body as the vendor's documentation has it. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { z } from 'zod';
import { TimeReader } from '../../../src/core/times.ts';
import { valueAt } from '../../../src/source/answer-values.ts';
import { fillIn, variablesOf, type FilledDescription } from '../../../src/source/fill-in.ts';
import { GUARANTEE_ROWS, guaranteesOf } from '../../../src/source/guarantees.ts';
import { nextPosition, totalIn } from '../../../src/source/next-position.ts';
import { readDescription } from '../../../src/source/read-description.ts';
import { requestShape } from '../../../src/source/request-shape.ts';
import { PROJECT_FOLDER } from '../../support/processes.ts';
import { answered, headers } from './described.ts';

interface Expected {
  readonly environment: Readonly<Record<string, string>>;
  /** The first request for 2 records from 2026-09-24T10:00:00Z on, up to a minute later. */
  readonly first: string;
  readonly firstBody?: unknown;
  readonly ids: readonly unknown[];
  readonly times?: readonly string[];
  /** What the second request has that the first one has not. */
  readonly position: string;
  readonly second: string;
  /** The body of a last page, by what is other than in the kept one. */
  readonly last: { readonly envelope?: object; readonly headers?: Readonly<Record<string, string>> };
  readonly total?: number;
  readonly card: readonly string[];
}

const SINCE_MS = Date.parse('2026-09-24T10:00:00Z');
const FIRST = { position: null, limit: 2, sinceMs: SINCE_MS, untilMs: SINCE_MS + 60_000 };
const END = "the API's own end";
const NEW = 'what is new';
const CHAIN = ['yes', 'while the cursor lives, else from the top', 'no', 'from the top, paid twice'];

const EXPECTED: Readonly<Record<string, Expected>> = {
  datasync: {
    environment: { API_BASE_URL: 'https://api.example.com/api/v1', TARGET_API_KEY: 'k' },
    first: 'https://api.example.com/api/v1/events?limit=2&since=1790243999999&until=1790244060001',
    ids: ['af5c33c8-8aac-4aa0-9448-b07b52ddaf9f', 'b2d7c9e1-3f4a-4b5c-9d6e-7f8091a2b3c4'],
    times: ['2026-01-27T19:20:12.369Z', '2026-01-27T19:20:11.204Z'],
    position: 'eyJpZCI6ImIyZDdjOWUxIiwidHMiOjE3Njk1NDE2MTEyMDQsInYiOjJ9',
    second: 'cursor=eyJpZCI6ImIyZDdjOWUxIiwidHMiOjE3Njk1NDE2MTEyMDQsInYiOjJ9',
    last: { envelope: { pagination: { hasMore: false, nextCursor: null } } },
    total: 3_000_000,
    card: ['yes', 'yes, by cursor or time', 'yes', 'by time', NEW, 'total'],
  },
  'stripe-events': {
    environment: { STRIPE_KEY: 'k' },
    first: 'https://api.stripe.com/v1/events?limit=2&created[gte]=1790243999&created[lte]=1790244061',
    ids: ['evt_1TKq2aLkdIwHu7ixBvR5gQmS', 'evt_1TKpzzLkdIwHu7ixYb0cNw4e'],
    times: ['2026-09-24T10:40:00.000Z', '2026-09-24T10:38:58.000Z'],
    position: 'evt_1TKpzzLkdIwHu7ixYb0cNw4e',
    second: 'starting_after=evt_1TKpzzLkdIwHu7ixYb0cNw4e',
    last: { envelope: { has_more: false } },
    card: ['yes', 'yes, always', 'yes', 'cannot happen', NEW, END],
  },
  'github-issues': {
    environment: { GITHUB_OWNER: 'octo', GITHUB_REPOSITORY: 'rows', GITHUB_TOKEN: 'k' },
    first:
      'https://api.github.com/repos/octo/rows/issues?state=all&sort=updated&direction=asc&per_page=2&since=2026-09-24T09:59:59Z',
    ids: [2_400_000_001, 2_400_000_007],
    times: ['2026-09-24T10:00:00.000Z', '2026-09-24T10:05:41.000Z'],
    position: '["2026-09-24T10:05:41Z",1]',
    second: 'since=2026-09-24T10:05:41Z&page=1',
    last: { headers: { link: '<https://api.github.com/repositories/7/issues?page=8>; rel="prev"' } },
    card: ['yes, while records of one time stay', 'yes, always', 'no', 'by time', NEW, END],
  },
  'slack-channel': {
    environment: { SLACK_TOKEN: 'k', SLACK_CHANNEL: 'C012AB3CD' },
    first:
      'https://slack.com/api/conversations.history?channel=C012AB3CD&limit=2&oldest=1790243999.999999&latest=1790244060.000001',
    ids: ['1790246400.000219', '1790246399.000100'],
    times: ['2026-09-24T10:40:00.000Z', '2026-09-24T10:39:59.000Z'],
    position: 'bmV4dF90czoxNzkwMjQ2Mzk5MDAwMTAw',
    second: 'cursor=bmV4dF90czoxNzkwMjQ2Mzk5MDAwMTAw',
    last: { envelope: { has_more: false, response_metadata: { next_cursor: '' } } },
    card: ['yes', 'yes, by cursor or time', 'yes', 'by time', NEW, END],
  },
  'zendesk-tickets': {
    environment: { ZENDESK_SUBDOMAIN: 'acme', ZENDESK_EMAIL: 'a@acme.example', ZENDESK_TOKEN: 'k' },
    first: 'https://acme.zendesk.com/api/v2/incremental/tickets/cursor.json?start_time=1790243999&per_page=2',
    ids: [35_436, 35_440],
    times: ['2026-09-24T10:00:00.000Z', '2026-09-24T10:01:01.000Z'],
    position:
      'https://acme.zendesk.com/api/v2/incremental/tickets/cursor.json?cursor=MTc5MDI0NDA2MS4wfHwzNTQ0MHw%3D&per_page=2',
    second: 'cursor=MTc5MDI0NDA2MS4wfHwzNTQ0MHw=&per_page=2',
    last: { envelope: { end_of_stream: true } },
    card: ['yes', 'yes, by cursor or time', 'no', 'by time', NEW, END],
  },
  'notion-pages': {
    environment: { NOTION_TOKEN: 'k', NOTION_DATA_SOURCE: '2f26ee68-df30-4251-aad4-8ddc420cba3d' },
    first: 'https://api.notion.com/v1/data_sources/2f26ee68-df30-4251-aad4-8ddc420cba3d/query',
    firstBody: { sorts: [{ timestamp: 'created_time', direction: 'ascending' }], page_size: 2 },
    ids: ['59833787-2cf9-4fdf-8782-e53db20768a5', '6f4a9c1e-0d2b-4c3a-9e8f-7a6b5c4d3e2f'],
    times: ['2026-03-01T19:05:00.000Z', '2026-03-01T19:06:00.000Z'],
    position: '33e19cb9-751f-4993-b74d-234d67d0d534',
    second: '"page_size":2,"start_cursor":"33e19cb9-751f-4993-b74d-234d67d0d534"',
    last: { envelope: { has_more: false, next_cursor: null } },
    card: [...CHAIN, 'everything again', END],
  },
  'gitlab-keyset': {
    environment: { GITLAB_TOKEN: 'k' },
    first: 'https://gitlab.com/api/v4/projects?membership=true&pagination=keyset&order_by=id&sort=asc&per_page=2',
    ids: [17, 42],
    position:
      'https://gitlab.com/api/v4/projects?id_after=42&membership=true&order_by=id&pagination=keyset&per_page=2&sort=asc',
    second: 'id_after=42&membership=true',
    last: { headers: {} },
    card: [...CHAIN, 'everything again', END],
  },
};

const FOLDER = join(PROJECT_FOLDER, 'sources');
const kept = z.strictObject({
  source: z.string(),
  taken: z.iso.date(),
  headers: z.record(z.string(), z.string()),
  body: z.unknown(),
});

test('every shipped description is tested here', () => {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'));
  assert.deepEqual(
    files.sort(),
    Object.keys(EXPECTED)
      .map((name) => `${name}.yaml`)
      .sort(),
  );
});

for (const [name, expected] of Object.entries(EXPECTED)) {
  const read = readDescription(readFileSync(join(FOLDER, `${name}.yaml`), 'utf8'));
  const { headers: sent, body } = kept.parse(JSON.parse(readFileSync(join(FOLDER, 'bodies', `${name}.json`), 'utf8')));

  const filled = (): FilledDescription => {
    assert.ok(read.description !== null);
    return fillIn(read.description, expected.environment);
  };
  const records = (): unknown[] => z.array(z.unknown()).parse(valueAt(body, filled().description.records));
  const page = (last: Expected['last'] = {}) =>
    answered({
      envelope: Array.isArray(body) ? null : Object.assign({}, body, last.envelope),
      headers: headers(last.headers ?? sent),
      records: records().length,
      lastRecord: records().at(-1),
      url: requestShape(filled(), FIRST).url,
      limit: 2,
    });

  test(`${name}: the description has its file's name, no problems, and all of its variables`, () => {
    assert.deepEqual(read.problems, []);
    assert.equal(read.description?.name, name);
    assert.deepEqual(variablesOf(filled().description).sort(), Object.keys(expected.environment).sort());
  });

  test(`${name}: the first page is asked for as the documentation says`, () => {
    const { url, body: sentBody } = requestShape(filled(), FIRST);
    assert.equal(decodeURIComponent(url.href), expected.first);
    assert.deepEqual(sentBody === null ? undefined : JSON.parse(sentBody), expected.firstBody);
  });

  test(`${name}: records have the ids, times and columns of the description`, () => {
    const { id = [], time, version = [], columns } = filled().description;
    assert.deepEqual(
      records().map((record) => valueAt(record, id)),
      expected.ids,
    );
    if (time !== undefined)
      assert.deepEqual(
        records().map((record) => instantOf(valueAt(record, time.path))),
        expected.times,
      );
    for (const path of [version, ...Object.values(columns).map((column) => column.path)]) {
      assert.ok(
        records().some((record) => valueAt(record, path) !== undefined),
        path.join('.'),
      );
    }
  });

  test(`${name}: the answer leads to the next page, and the last one to the end`, () => {
    assert.deepEqual(nextPosition(filled(), page()), { kind: 'next', position: expected.position });
    const { url, body: sentBody } = requestShape(filled(), { ...FIRST, position: expected.position });
    const second = sentBody ?? decodeURIComponent(url.search);
    assert.ok(second.includes(expected.second), second);
    assert.equal(nextPosition(filled(), page(expected.last)).kind, 'end');
    assert.equal(totalIn(filled(), page()), expected.total ?? null);
  });

  test(`${name}: the card`, () => {
    const guarantees = guaranteesOf(filled().description);
    assert.deepEqual(
      GUARANTEE_ROWS.map(([row]) => guarantees[row].answer),
      expected.card,
    );
  });
}

test('slack-channel: a body with an error is no page', () => {
  const { description } = readDescription(readFileSync(join(FOLDER, 'slack-channel.yaml'), 'utf8'));
  assert.ok(description !== null);
  const source = fillIn(description, EXPECTED['slack-channel']?.environment ?? {});
  const after = (error: string) => nextPosition(source, answered({ envelope: { ok: false, error }, records: 0 })).kind;
  assert.deepEqual(['invalid_cursor', 'token_revoked', 'channel_not_found'].map(after), [
    'stale-cursor',
    'key-refused',
    'error',
  ]);
});

/** As the encoder reads it. */
function instantOf(value: unknown): string {
  const reader = new TimeReader();
  const bytes = new TextEncoder().encode(String(value));
  const isRead =
    typeof value === 'number' ? reader.readNumber(bytes, 0, bytes.length) : reader.readText(bytes, 0, bytes.length);
  assert.ok(isRead, String(value));
  return new Date(reader.epochMs).toISOString();
}
