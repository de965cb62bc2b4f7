import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { interpretEnvelope, readPageTail } from '../../../src/api/page-tail.ts';

const tailOf = (text: string): ReturnType<typeof readPageTail> => readPageTail(Buffer.from(text));
const envelopeOf = (text: string): unknown => tailOf(text)?.envelope ?? null;

/** What the whole body says, parsed by JSON.parse; `null` when it is no page. */
function truthOf(text: string): ReturnType<typeof readPageTail> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return null;
  return interpretEnvelope({ ...parsed });
}

test('the live shape is read, with the life of its cursor', () => {
  const page = {
    data: [{ id: 'a' }, { id: 'b' }],
    pagination: { limit: 5000, hasMore: true, nextCursor: 'eyJ+/==', cursorExpiresIn: 116 },
    meta: { total: 3_000_000, returned: 2, requestId: 'r' },
  };
  assert.deepEqual(tailOf(JSON.stringify(page)), {
    envelope: { hasMore: true, nextCursor: 'eyJ+/==', total: 3_000_000 },
    cursorLifeMs: 116_000,
  });
});

test('the shape of the documentation page is read', () => {
  assert.deepEqual(envelopeOf('{"data":[{"id":1}],"hasMore":true,"nextCursor":"c"}'), {
    hasMore: true,
    nextCursor: 'c',
    total: null,
  });
});

test('an envelope before the events is read', () => {
  assert.deepEqual(
    envelopeOf('{"pagination":{"nextCursor":"c","hasMore":true},"data":[{"hasMore":false,"nextCursor":"evil"}]}'),
    { hasMore: true, nextCursor: 'c', total: null },
  );
});

test('a last page is one, whether its cursor is null, absent or empty', () => {
  for (const cursor of ['"nextCursor":null,', '', '"nextCursor":"",']) {
    assert.deepEqual(envelopeOf(`{"data":[],${cursor}"hasMore":false}`), {
      hasMore: false,
      nextCursor: null,
      total: null,
    });
  }
});

test('flags are read as booleans, texts and numbers, keys in camelCase and snake_case', () => {
  for (const [value, expected] of [
    ['true', true],
    ['"true"', true],
    ['"FALSE"', false],
    ['1', true],
    ['0', false],
    ['"0"', false],
    ['null', null],
  ] as const) {
    assert.deepEqual(envelopeOf(`{"events":[{}],"has_more":${value},"next_cursor":"x"}`), {
      hasMore: expected,
      nextCursor: 'x',
      total: null,
    });
  }
  assert.equal(envelopeOf('{"data":[],"hasMore":"perhaps","nextCursor":"x"}'), null);
});

test('a cursor is unescaped as JSON says', () => {
  assert.deepEqual(envelopeOf('{"data":[],"hasMore":true,"nextCursor":"a\\u002b\\/\\"\\\\=\\u00e9é"}'), {
    hasMore: true,
    nextCursor: 'a+/"\\=éé',
    total: null,
  });
});

test('of a doubled key the last one counts', () => {
  assert.deepEqual(envelopeOf('{"hasMore":true,"data":[1],"hasMore":false,"nextCursor":"a","nextCursor":null}'), {
    hasMore: false,
    nextCursor: null,
    total: null,
  });
});

test('two places that contradict each other are left to the worker', () => {
  assert.equal(envelopeOf('{"pagination":{"hasMore":true},"data":[],"hasMore":false}'), null);
  assert.equal(envelopeOf('{"pagination":{"nextCursor":"a"},"data":[],"nextCursor":"b"}'), null);
});

test('a page that says that something failed is left to the worker', () => {
  assert.equal(envelopeOf('{"data":[],"error":"partial","hasMore":false}'), null);
});

test('an event that contains an envelope misleads nobody', () => {
  const event = { hasMore: true, nextCursor: 'evil', tags: ['x'], pagination: { hasMore: true, nextCursor: 'evil' } };
  const texts = [
    JSON.stringify({ pagination: { hasMore: false, nextCursor: null }, data: [event, event] }),
    JSON.stringify({ data: [event], pagination: { hasMore: false, nextCursor: null } }),
    JSON.stringify({ hasMore: false, nextCursor: null, data: [{ text: '],"hasMore":true,"nextCursor":"evil"}' }] }),
  ];
  for (const text of texts) {
    const told = envelopeOf(text);
    if (told !== null) assert.deepEqual(told, { hasMore: false, nextCursor: null, total: null });
  }
});

test('a body that is cut behind an event that looks like a page is no page', () => {
  assert.equal(envelopeOf('{"data":[{"id":1,"tags":["a"],"hasMore":true,"nextCursor":"evil"}'), null);
  assert.equal(envelopeOf('{"data":[{"id":1},{"data":[],"hasMore":true,"nextCursor":"evil"}'), null);
  assert.equal(envelopeOf('{"data":[{"id":1,"hasMore":true,"nextCursor":"evil"}'), null);
});

test('what is no page is no page', () => {
  for (const text of [
    '',
    '{',
    '{}',
    '[]',
    '<html>',
    '{"error":"x"}',
    '{"data":{}}',
    '{"data":[}',
    '{"data":"["}',
    '{"data":[1]} x',
  ]) {
    assert.equal(tailOf(text), null, text);
  }
});

const pageOf = (event: object, rest: object): string =>
  JSON.stringify({ data: Array.from({ length: 5000 }, (_, id) => ({ id, ...event })), ...rest });

test('a large page is read whatever its texts hold', () => {
  const rest = { hasMore: true, nextCursor: 'c[]"' };
  const expected = { hasMore: true, nextCursor: 'c[]"', total: null };
  const names = [
    'quote " brace } colon : back \\ slash',
    '[',
    ']',
    '],',
    '],"hasMore":true,"nextCursor":"evil"}',
    '[]',
    '"]"',
    ':[',
    '\\"[',
  ];
  for (const name of names) {
    const events = Array.from({ length: 5000 }, (_, id) =>
      id % 100 === 0 ? { id, name, stack: ['a', 'b'] } : { id, name: 'plain' },
    );
    assert.deepEqual(envelopeOf(JSON.stringify({ data: events, ...rest })), expected, name);
    assert.deepEqual(envelopeOf(JSON.stringify({ ...rest, data: events })), expected, name);
  }
});

test('a large page full of arrays is left to the worker', () => {
  assert.equal(envelopeOf(pageOf({ tags: ['a'] }, { hasMore: true })), null);
});

test('a large page that is cut behind any of its events is no page', () => {
  const event = { text: 'x'.repeat(30), tags: ['a'], hasMore: true, nextCursor: 'evil' };
  for (const tags of [['a'], undefined]) {
    const whole = pageOf({ ...event, tags }, { hasMore: false });
    for (const share of [0.3, 0.6, 0.9]) {
      const at = whole.lastIndexOf('}', whole.length * share);
      assert.equal(envelopeOf(whole.slice(0, at + 1)), null);
    }
  }
});

test('reading costs a small part of what parsing costs', () => {
  const filler = 'x'.repeat(300);
  const page = Buffer.from(
    JSON.stringify({ data: Array.from({ length: 5000 }, (_, id) => ({ id, filler })), hasMore: true, nextCursor: 'c' }),
  );
  const timeOf = (work: () => void): number => {
    const times = Array.from({ length: 9 }, () => {
      const startMs = performance.now();
      work();
      return performance.now() - startMs;
    });
    return Math.min(...times);
  };
  const reading = timeOf(() => readPageTail(page));
  const parsing = timeOf(() => {
    JSON.parse(page.toString());
  });
  assert.ok(reading * 5 < parsing, `${reading} ms against ${parsing} ms`);
});

const nastyText = fc.oneof(
  fc.string(),
  fc.string({ unit: fc.constantFrom('"', '\\', '[', ']', '{', '}', ',', ':', '1', 'a') }),
  fc.constantFrom('],"hasMore":true,"nextCursor":"evil"}', '"]}', '\\"]', '],', '}]}', ':1}', '],"data":['),
);
/** Spreads brackets far apart, so that each must be told from what stands around it. */
const filler = fc.integer({ min: 0, max: 1_500 }).map((length) => 'plain text, no brackets. '.repeat(length / 25));
const value = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    nastyText,
    filler,
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.oneof(nastyText, fc.constantFrom('hasMore', 'nextCursor', 'data', 'pagination')), tie('value'), {
      maxKeys: 4,
    }),
  ),
})).value;
const flag = fc.constantFrom(true, false, 'true', 'false', 1, 0, null, '1');
const cursor = fc.oneof(nastyText, fc.constant(null), fc.constant(''));
const member = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(fc.constantFrom('data', 'events'), fc.array(value, { maxLength: 4 })) },
  fc.tuple(fc.constantFrom('hasMore', 'has_more'), flag),
  fc.tuple(fc.constantFrom('nextCursor', 'next_cursor'), cursor),
  fc.tuple(fc.constant('pagination'), fc.record({ hasMore: flag, nextCursor: cursor }, { requiredKeys: [] })),
  fc.tuple(fc.constant('meta'), fc.record({ total: fc.nat(), requestId: nastyText }, { requiredKeys: [] })),
  fc.tuple(nastyText, value),
);
/** Members as text, so that keys can be doubled and stand in any order. */
const body = fc.tuple(fc.array(member, { maxLength: 7 }), fc.constantFrom('', ' ', '\n\t')).map(([members, space]) => {
  const texts = members.map(
    ([key, held]) => `${space}${JSON.stringify(key)}${space}:${space}${JSON.stringify(held)}${space}`,
  );
  return `${space}{${texts.join(',')}}${space}`;
});

test('of any body it says what JSON.parse says, or nothing', () => {
  let told = 0;
  fc.assert(
    fc.property(body, (text) => {
      const read = tailOf(text);
      if (read === null) return;
      told += 1;
      assert.deepEqual(read, truthOf(text));
    }),
    { numRuns: 5_000 },
  );
  assert.ok(told > 1_000, `only ${told} of 5,000 bodies could be told`);
});

test('of any cut body it says nothing', () => {
  fc.assert(
    fc.property(body, fc.double({ min: 0, max: 1, noNaN: true }), (text, share) => {
      const cut = text.slice(0, Math.floor(text.trimEnd().length * share));
      if (cut.trimEnd() === text.trimEnd()) return;
      assert.equal(tailOf(cut), null);
    }),
    { numRuns: 5_000 },
  );
});

test('of a body cut behind each of its closing braces it says nothing', () => {
  fc.assert(
    fc.property(body, (text) => {
      const whole = text.trimEnd();
      for (let at = whole.indexOf('}'); at !== -1 && at < whole.length - 1; at = whole.indexOf('}', at + 1)) {
        assert.equal(tailOf(whole.slice(0, at + 1)), null);
      }
    }),
    { numRuns: 3_000 },
  );
});

test('of any bytes it says nothing that is not there, and never throws', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      readPageTail(bytes);
      readPageTail(Buffer.concat([Buffer.from('{"data":['), bytes, Buffer.from('],"hasMore":true}')]));
    }),
    { numRuns: 1_000 },
  );
});
