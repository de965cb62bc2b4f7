/** Ends that an API seems to say, with records behind them: after code 0 each record is a row. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { DescribedScene, assertCode, type DescribedEnd } from '../../support/described-scene.ts';
import { openSmallApi } from '../../support/small-api.ts';

const IDS = Array.from({ length: 60 }, (_, at) => at + 1);

interface Answered {
  /** `null`: an answer that is no page. */
  readonly ids: readonly number[] | null;
  readonly next?: number | null;
  readonly more?: boolean;
  readonly status?: number;
  /** In place of a list. */
  readonly things?: null | undefined;
}

type Api = (query: URLSearchParams, request: number) => Answered;

/** @returns the ids in the table */
async function ingest(t: TestContext, words: string, api: Api): Promise<DescribedEnd & { readonly loaded: number[] }> {
  let requests = 0;
  const origin = await openSmallApi(t, (url, response) => {
    requests += 1;
    const { ids, status = 200, ...envelope } = api(url.searchParams, requests);
    response.statusCode = status;
    response.end(ids === null ? '<html>' : JSON.stringify({ things: ids.map((id) => ({ id })), ...envelope }));
  });
  const description = `
name: ends
url: ${origin}/list
records: [things]
id: [id]
columns: { id: { path: [id], type: bigint } }
${words}`;
  const scene = await DescribedScene.of(t, { origin, records: [] }, description);
  const end = await scene.ingest(['--max-wait', '10']);
  const { rows } = await scene.database.query<{ id: string }>('SELECT id FROM ends ORDER BY id');
  return { ...end, loaded: rows.map(({ id }) => Number(id)) };
}

void test('a token that is the number of a page goes with the size of the page that gave it', async (t) => {
  const words = 'size: { param: size, max: 10 }\nnext: { token: { path: [next], param: page } }';
  const end = await ingest(t, words, (query, request) => {
    const page = Number(query.get('page') ?? 1);
    const size = Number(query.get('size'));
    const ids = IDS.slice((page - 1) * size, page * size);
    return { ids: request === 3 ? null : ids, next: page * size < IDS.length ? page + 1 : null };
  });
  assertCode(end, 0);
  assert.deepEqual(end.loaded, IDS);
});

void test('an API that gives fewer records than are asked for has no short page until one is shorter than another', async (t) => {
  const words = 'size: { param: size, max: 20 }\nnext: { lastRecord: { path: [id], param: after } }\nmore: short-page';
  const end = await ingest(t, words, (query) => {
    const after = Number(query.get('after') ?? 0);
    return { ids: IDS.slice(after, after + Math.min(7, Number(query.get('size')))) };
  });
  assertCode(end, 0);
  assert.deepEqual(end.loaded, IDS);
});

for (const [name, sizes] of [
  ['at most 7', [1, 2, 3, 4, 5, 6, 7]],
  ['5, 10 or 20', [5, 10, 20]],
] as const) {
  void test(`page numbers over an API that gives ${name} records, whatever is asked for: its first page is no short one`, async (t) => {
    const words =
      'size: { param: size, max: 1000 }\nnext: { count: { param: page, first: 1, step: 1 } }\nmore: short-page';
    const listed = IDS.slice(0, 58);
    const end = await ingest(t, words, (query) => {
      const asked = Number(query.get('size'));
      const size = sizes.findLast((most) => most <= asked) ?? sizes[0];
      const at = (Number(query.get('page')) - 1) * size;
      return { ids: at < listed.length ? listed.slice(at, at + size) : null };
    });
    assertCode(end, 0);
    assert.deepEqual(end.loaded, listed);
  });
}

const BY_NUMBER =
  'size: { param: size, max: 20 }\nnext: { count: { param: page, first: 1, step: 1 } }\nmore: short-page';

void test('a first page that is short, because a record of it is not shown: what follows it comes', async (t) => {
  for (const listed of [IDS, IDS.slice(0, 3)]) {
    const end = await ingest(t, BY_NUMBER, (query) => {
      const [page, size] = [Number(query.get('page')), Number(query.get('size'))];
      return { ids: listed.slice((page - 1) * size, page * size).filter((id) => id > 1) };
    });
    assertCode(end, 0);
    assert.deepEqual(end.loaded, listed.slice(1));
  }
});

void test('a list of a few records, whose API gives no pages as small as that, and refuses one behind the last', async (t) => {
  const end = await ingest(t, BY_NUMBER, (query) => {
    const isRefused = Number(query.get('page')) > 1 || Number(query.get('size')) < 10;
    return isRefused ? { ids: [], status: 422 } : { ids: [1, 2, 3] };
  });
  assertCode(end, 0);
  assert.deepEqual(end.loaded, [1, 2, 3]);
});

void test('a page behind a short one that fails is no end', async (t) => {
  let failures = 4;
  const end = await ingest(t, BY_NUMBER, (query) => {
    const page = Number(query.get('page'));
    if (page === 2 && (failures -= 1) > 0) return { ids: [], status: 503 };
    return { ids: IDS.slice((page - 1) * 10, page * 10) };
  });
  assertCode(end, 0);
  assert.deepEqual(end.loaded, IDS);
});

void test('an empty page, because the last record of the first one has vanished, is no end', async (t) => {
  const words =
    'size: { param: size, max: 20 }\nnext: { lastRecord: { path: [id], param: after } }\nmore: { path: [more] }';
  const end = await ingest(t, words, (query, request) => {
    const left = request === 1 ? IDS : IDS.filter((id) => id !== 20);
    const after = query.get('after');
    if (after === '20') return { ids: [], more: false };
    const ids = left.filter((id) => id > Number(after ?? 0)).slice(0, Number(query.get('size')));
    return { ids, more: ids.at(-1) !== IDS.length };
  });
  assertCode(end, 0);
  assert.deepEqual(end.loaded, IDS);
});

void test('a flag that means the opposite of what is described ends no list with 0', async (t) => {
  for (const size of ['size: { param: size, max: 20 }\n', '']) {
    const words = `${size}next: { token: { path: [next], param: after } }\nmore: { path: [more] }`;
    const end = await ingest(t, words, (query) => {
      const [after, most] = [Number(query.get('after') ?? 0), Number(query.get('size') ?? 20)];
      const isLast = after + most >= IDS.length;
      return { ids: IDS.slice(after, after + most), more: isLast, ...(isLast ? {} : { next: after + most }) };
    });
    assertCode(end, size === '' ? 4 : 2);
    if (size !== '') assert.match(end.reason, /a full first page has no true at \[more\]/);
  }
});

void test('a 204 is an empty page, wherever the list would be', async (t) => {
  for (const listed of [[], IDS]) {
    const words = 'size: { param: size, max: 20 }\nnext: { count: { param: page, first: 1, step: 1 } }';
    const end = await ingest(t, words, (query) => {
      const page = Number(query.get('page'));
      const ids = listed.slice((page - 1) * 20, page * 20);
      return ids.length === 0 ? { ids, status: 204 } : { ids };
    });
    assertCode(end, 0);
    assert.deepEqual(end.loaded, listed);
  }
});

void test('an offset that the API takes for the number of a page is no end behind the first one', async (t) => {
  const words = 'size: { param: size, max: 20 }\nnext: { count: { param: page, first: 0, step: 20 } }';
  const end = await ingest(t, words, (query) => {
    const [page, size] = [Number(query.get('page')), Number(query.get('size'))];
    return { ids: IDS.slice(page * size, (page + 1) * size) };
  });
  assertCode(end, 4);
  assert.match(end.reason, /did not say that its list has come to an end/);
});

void test('a token beside the word that nothing follows may lead anywhere', async (t) => {
  const words =
    'size: { param: size, max: 100 }\nnext: { token: { path: [next], param: after } }\nmore: { path: [more] }';
  for (const behind of [{ ids: [], status: 500 }, { ids: [], status: 404 }, { ids: [] }, { ids: IDS, next: 1 }]) {
    const end = await ingest(t, words, (query) =>
      query.get('after') === null ? { ids: IDS, next: 1, more: false } : behind,
    );
    assertCode(end, 0);
    assert.deepEqual(end.loaded, IDS);
  }
});

void test('an empty list may be null, or left out beside the word that nothing follows', async (t) => {
  for (const listed of [[], IDS]) {
    for (const more of [undefined, false]) {
      const words = `size: { param: size, max: 20 }\nnext: { count: { param: page, first: 1, step: 1 } }${more === false ? '\nmore: { path: [more] }' : ''}`;
      const end = await ingest(t, words, (query) => {
        const page = Number(query.get('page'));
        const ids = listed.slice((page - 1) * 20, page * 20);
        const flag = more === false ? { more: ids.length > 0 } : {};
        return ids.length > 0 ? { ids, ...flag } : { ids, ...flag, things: more === false ? undefined : null };
      });
      assertCode(end, 0);
      assert.deepEqual(end.loaded, listed);
    }
  }
});

for (const [name, size] of [
  ['without size', ''],
  ['with a size.max above what the API gives', 'size: { param: size, max: 100 }\n'],
] as const) {
  void test(`a list ${name}, whose next page is looked for in the wrong place, is asked by time what follows`, async (t) => {
    const words =
      `${size}next: { token: { path: [nowhere], param: after } }\norder: oldest-first\n` +
      'time: { path: [id], since: since, format: s, granularity: 1s }';
    const end = await ingest(t, words, (query) => {
      const since = Number(query.get('since') ?? 0);
      return { ids: IDS.filter((id) => id >= since).slice(0, 10), next: since + 10 };
    });
    assertCode(end, 0);
    assert.deepEqual(end.loaded, IDS);
  });
}
