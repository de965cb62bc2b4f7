/** Only the API's own word on a page that is a page ends a chain: an error, a missing flag or a 418 does not, and where it stays it ends the job. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ODD_ANSWERS, withoutFlag, type Odd } from '../support/odd-answers.ts';
import { toCursor, type PageHook } from '../support/scripted-api.ts';
import { eventsUpTo, NEWEST_MS } from '../support/scripted-events.ts';
import { assertProof, ScriptedScene, tailOf } from '../support/scripted-scene.ts';

const EVENTS = eventsUpTo(3_000);
const MAX_PAGE = 200;
/** Page 6 of one chain would begin here. */
const ODD_FROM = 5 * MAX_PAGE;
/** Below every event: all are taken, and the run is limited, so no total is held against it. */
const SINCE = ['--since', String(NEWEST_MS - 3_600_000)];

/** What stands beside an empty list is read in one place, whatever the shape: the live shape is given it once. */
const LIVE_ANSWERS = [
  'an error code beside an empty list',
  'a page of events without a flag',
  'status 418',
] as const satisfies readonly (keyof typeof ODD_ANSWERS)[];

const APIS = [
  { name: 'doc shape', shape: 'doc', flags: [], answers: Object.entries<Odd>(ODD_ANSWERS) },
  {
    name: 'live shape with --since',
    shape: 'live',
    flags: SINCE,
    answers: LIVE_ANSWERS.map((answer) => [answer, ODD_ANSWERS[answer]] as const),
  },
] as const;

/** The first request with a cursor that reaches so far down gets the odd answer. */
function onceOdd(odd: Odd): PageHook {
  let isDone = false;
  return ({ cursor, usual }) => {
    if (isDone || cursor === null || usual.first < ODD_FROM) return undefined;
    isDone = true;
    return odd(usual);
  };
}

for (const { name, shape, flags, answers } of APIS) {
  for (const [answer, odd] of answers) {
    void test(`${answer}, once in the middle of a chain (${name}), ends nothing: every event is a row`, async (t) => {
      const options = { events: EVENTS, shape, maxPage: MAX_PAGE, hook: onceOdd(odd) };
      const scene = await ScriptedScene.open(t, options);
      assertProof(await scene.ingestAll(flags), 'api-end');
    });
  }
}

void test('where no cursor is answered, the walk learns to ask by time at once', async (t) => {
  const odd: Odd = ODD_ANSWERS['an error code beside an empty list'];
  const hook: PageHook = ({ cursor, usual }) => (cursor === null ? undefined : odd(usual));
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(1_000), shape: 'doc', maxPage: 50, hook });
  await scene.ingestAll();
  assert.ok(scene.api.pageRequests < 70, `${scene.api.pageRequests} requests for 20 pages`);
});

void test('an odd answer to one of several windows ends no window', async (t) => {
  for (const odd of [ODD_ANSWERS['status 418'], ODD_ANSWERS['"success": false']]) {
    const options = { events: EVENTS, shape: 'doc', maxPage: 50, hook: onceOdd(odd) } as const;
    const scene = await ScriptedScene.open(t, options);
    await scene.ingestAll(['--concurrency', '1']);
  }
});

for (const times of [3, 5, 40]) {
  void test(`418 to a window, ${times} times, also to what lies below it, is no end where others were served events there`, async (t) => {
    const begun = new Map<string, number>();
    const hook: PageHook = ({ cursor, query }) => {
      const until = query.get('until');
      if (cursor !== null || until === null || query.get('limit') === '1') return undefined;
      begun.set(until, (begun.get(until) ?? 0) + 1);
      const isVictim = [...begun.keys()][0] === until;
      return isVictim && (begun.get(until) ?? 0) <= times ? { status: 418, body: {} } : undefined;
    };
    const options = { events: eventsUpTo(6_000), shape: 'doc', maxPage: 100, latencyMs: 30, hook } as const;
    const scene = await ScriptedScene.open(t, options);
    await scene.ingestAll(['--concurrency', '4', '--page-size', '100']);
  });
}

void test('a 204 where the list ends is an empty page in other words', async (t) => {
  const events = eventsUpTo(600);
  const hook: PageHook = ({ usual }) => (usual.first < events.length ? undefined : { status: 204, body: undefined });
  const options = { events, shape: 'doc', maxPage: MAX_PAGE, endsWithEmptyPage: true, hook } as const;
  const scene = await ScriptedScene.open(t, options);
  assertProof(await scene.ingestAll(), 'api-end');
});

/** Each waits for seconds: one kind of answer for each shape, and the 418, which bounds could give another meaning, for both. */
const LASTING = [
  ['an error code beside an empty list', APIS[1]],
  ['"success": false', APIS[0]],
  ['status 418', APIS[0]],
  ['status 418', APIS[1]],
] as const;

/** No request reaches further down, whatever it asks by. */
function alwaysOdd(odd: Odd): PageHook {
  return ({ usual }) => (usual.end > ODD_FROM ? odd(usual) : undefined);
}

for (const [answer, { name, shape, flags }] of LASTING) {
  void test(`${answer} that stays (${name}) ends the job with 4, never with 0`, async (t) => {
    const options = { events: EVENTS, shape, maxPage: MAX_PAGE, hook: alwaysOdd(ODD_ANSWERS[answer]) };
    const scene = await ScriptedScene.open(t, options);
    const ending = await scene.ingest([...flags, '--max-wait', '3']);
    await scene.expect(ending, 4, EVENTS.slice(0, ODD_FROM));
  });
}

void test('418 to the request by time that replaces a dead cursor is no end: the event at that time exists', async (t) => {
  let dead = 0;
  let outside = 0;
  const hook: PageHook = ({ cursor, query, usual }) => {
    if (cursor !== null && usual.first >= ODD_FROM && dead === 0) {
      dead += 1;
      return { status: 400, body: { code: 'CURSOR_EXPIRED', message: 'Cursor expired 1 minute(s) ago' } };
    }
    if (cursor === null && query.has('until') && outside === 0) {
      outside += 1;
      return { status: 418, body: { code: 'OUT_OF_RANGE' } };
    }
    return undefined;
  };
  for (const { shape, flags } of APIS) {
    dead = 0;
    outside = 0;
    const scene = await ScriptedScene.open(t, { events: EVENTS, shape, maxPage: MAX_PAGE, hook });
    assertProof(await scene.ingestAll(flags), 'api-end');
    assert.deepEqual({ dead, outside }, { dead: 1, outside: 1 });
  }
});

void test('an empty last page with "hasMore": false is an end', async (t) => {
  for (const { shape, flags } of APIS) {
    const options = { events: EVENTS, shape, maxPage: MAX_PAGE, endsWithEmptyPage: true };
    const scene = await ScriptedScene.open(t, options);
    assertProof(await scene.ingestAll(flags), 'api-end');
  }
});

void test('a list that has empty pages in its middle is asked about one of them, and believed about the others', async (t) => {
  const hook: PageHook = ({ cursor, usual }) => {
    // Base64 takes no note of it: behind each page lies an empty one.
    if (cursor === null || cursor.endsWith('!')) return undefined;
    return { body: { ...usual.body, data: [], hasMore: true, nextCursor: `${cursor}!` } };
  };
  const options = { events: eventsUpTo(2_000), shape: 'doc', maxPage: 100, hook } as const;
  const scene = await ScriptedScene.open(t, options);
  assertProof(await scene.ingestAll(['--page-size', '100']), 'api-end');
  assert.ok(scene.api.pageRequests < 48, `${scene.api.pageRequests} requests for 40 pages`);
});

void test('where the first page is always empty, with a cursor to the events, a window without any is asked about by that cursor', async (t) => {
  const isOld = (n: number): boolean => n >= 1_000;
  const events = eventsUpTo(2_000, (n) => ({ timestamp: NEWEST_MS - n * 1_000 - (isOld(n) ? 4_000_000 : 0) }));
  const hook: PageHook = ({ cursor, usual: { body } }) => {
    const begin = { data: [], hasMore: true, nextCursor: toCursor({ left: events.length }) };
    return cursor === null ? { body: { ...body, ...begin } } : undefined;
  };
  const options = { events, shape: 'doc', maxPage: 50, latencyMs: 5, hook } as const;
  const scene = await ScriptedScene.open(t, options);
  assertProof(await scene.ingestAll(['--concurrency', '4', '--page-size', '50']), 'api-end');
  assert.ok(scene.api.pageRequests < 250, `${scene.api.pageRequests} requests for 40 pages`);
});

void test('empty pages whose cursors lead to themselves end nothing where the place that was served last does not come again', async (t) => {
  const hook: PageHook = ({ number, query, usual: { body } }) => {
    const { data, nextCursor } = body;
    const isServed = number <= 2 || query.has('since');
    return { body: isServed ? { data, nextCursor } : { data: [], nextCursor: toCursor({ left: 1_000 }) } };
  };
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(500), shape: 'doc', maxPage: 50, hook });
  const { code } = await scene.ingest(['--concurrency', '1']);
  assert.equal(code, 4);
});

void test('empty pages whose cursors lead to themselves, from the first one on, are no list without events', async (t) => {
  const hook: PageHook = () => ({ body: { data: [], nextCursor: toCursor({ left: 1 }) } });
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(50), shape: 'doc', hook });
  const { code } = await scene.ingest();
  assert.equal(code, 4);
});

void test('a last page that never has a flag ends the chain where the count agrees', async (t) => {
  const hook: PageHook = ({ usual }) => {
    const { data, meta } = usual.body;
    return usual.isLast && usual.end === EVENTS.length ? { body: { data, meta } } : undefined;
  };
  const scene = await ScriptedScene.open(t, { events: EVENTS, maxPage: MAX_PAGE, hook });
  assertProof(await scene.ingestAll(), 'count');
});

void test('a last page that never has a flag ends the chain where a request by time brings nothing older', async (t) => {
  const hook: PageHook = ({ usual }) => (usual.isLast && usual.end === EVENTS.length ? withoutFlag(usual) : undefined);
  const scene = await ScriptedScene.open(t, { events: EVENTS, shape: 'doc', maxPage: MAX_PAGE, hook });
  assertProof(await scene.ingestAll(), 'api-end');
});

void test('pages that become smaller than an instant, and lack their cursors then, end nothing', async (t) => {
  const events = eventsUpTo(1_500, (n) => ({ timestamp: NEWEST_MS - Math.floor(n / 40) * 1_000 }));
  const scene = await ScriptedScene.open(t, { events, shape: 'doc', maxPage: 100 });
  scene.api.options.hook = ({ number, usual: { body } }) => {
    const { data, nextCursor } = body;
    scene.api.options.maxPage = number >= 4 && number < 10 ? 10 : 100;
    return { body: number > 5 && number <= 10 ? { data } : { data, nextCursor } };
  };
  assertProof(await scene.ingestAll(), 'api-end');
});

void test('a list whose last events share an instant ends without a word, where more from higher up bring no more of them', async (t) => {
  const events = eventsUpTo(1_000, (n) => ({ timestamp: NEWEST_MS - Math.min(n, 995) * 1_000 }));
  const hook: PageHook = ({ usual }) => (usual.isLast && usual.end === events.length ? withoutFlag(usual) : undefined);
  const scene = await ScriptedScene.open(t, { events, shape: 'doc', maxPage: MAX_PAGE, hook });
  assertProof(await scene.ingestAll(), 'api-end');
});

void test('a chain by time that begins below what was served last is begun higher up', async (t) => {
  let dead = 0;
  const hook: PageHook = ({ cursor }) => {
    if (cursor !== null) dead += 1;
    return cursor !== null && dead % 4 === 0 ? { status: 400, body: { code: 'CURSOR_EXPIRED' } } : undefined;
  };
  const events = eventsUpTo(2_000, (n) => ({ timestamp: NEWEST_MS + 437 - n * 37 }));
  const scene = await ScriptedScene.open(t, { events, shape: 'doc', maxPage: 97, untilGrainMs: 1_000, hook });
  await scene.ingestAll();
});

for (const [times, code] of [
  [2, 0],
  [Infinity, 4],
] as const) {
  const what = `cursors that lead to an empty last page ${times} times`;
  void test(`${what} are no end beside an answer by time that says that more follows inside of an instant: ${code}`, async (t) => {
    const events = eventsUpTo(800, (n) => ({ timestamp: NEWEST_MS - Math.floor(n / 40) * 1_000 }));
    let left: number = times;
    const hook: PageHook = ({ cursor, usual }) => {
      if (cursor === null || usual.first < 500 || left === 0) return undefined;
      left -= 1;
      return { body: { data: [], hasMore: false, nextCursor: null } };
    };
    const scene = await ScriptedScene.open(t, { events, shape: 'doc', maxPage: 20, hook });
    const ending = await scene.ingest();
    assert.equal(ending.code, code, tailOf(ending));
    if (code === 0) assert.equal(ending.proof?.places, events.length, tailOf(ending));
  });
}

for (const [perInstant, pageSize] of [1, 2, 40, 99, 100, 150].flatMap((n) => [
  [n, 100] as const,
  [n, 5_000] as const,
])) {
  const what = `${perInstant} events an instant, ${pageSize} asked for, 100 given`;
  void test(`a list whose last page says that more follows, and leads to an empty one, ends there: ${what}`, async (t) => {
    for (const count of [800, 803]) {
      // The oldest instant is whole in both.
      const timestampOf = (n: number): number => NEWEST_MS - Math.floor((n + 900 - count) / perInstant) * 1_000;
      const events = eventsUpTo(count, (n) => ({ timestamp: timestampOf(n) }));
      const options = { events, shape: 'doc', maxPage: 100, endsWithEmptyPage: true } as const;
      const scene = await ScriptedScene.open(t, options);
      assertProof(await scene.ingestAll(['--page-size', String(pageSize)]), 'api-end');
    }
  });
}

for (const [count, perInstant, maxPage] of [
  [1, 1, 100],
  [2, 2, 100],
  [60, 1, 1],
  [500, 100, 100],
] as const) {
  const pages = `${count} events, ${perInstant} an instant, ${maxPage} a page`;
  void test(`a list that ends with an empty page ends there, however small its pages are: ${pages}`, async (t) => {
    const events = eventsUpTo(count, (n) => ({ timestamp: NEWEST_MS - Math.floor(n / perInstant) * 1_000 }));
    const scene = await ScriptedScene.open(t, { events, shape: 'doc', maxPage, endsWithEmptyPage: true });
    assertProof(await scene.ingestAll(['--page-size', '1000']), 'api-end');
  });
}

for (const nothing of ['an empty page', 'a 418']) {
  void test(`a list inside of one second ends with its empty page where until is cut to seconds, which brings ${nothing}`, async (t) => {
    const events = eventsUpTo(600, (n) => ({ timestamp: NEWEST_MS + 999 - n }));
    const hook: PageHook = ({ cursor, usual: { first } }) =>
      nothing === 'a 418' && cursor === null && first === events.length ? { status: 418, body: {} } : undefined;
    const options = { events, shape: 'doc', maxPage: 100, endsWithEmptyPage: true, untilGrainMs: 1_000, hook } as const;
    const scene = await ScriptedScene.open(t, options);
    assertProof(await scene.ingestAll(), 'api-end');
  });
}
