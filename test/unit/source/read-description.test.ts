import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readDescription } from '../../../src/source/read-description.ts';

const GOOD = `# A list of things.
name: things
url: https://api.example.com/v1/things
auth: { bearer: "\${THINGS_KEY}" }
headers: { X-Version: 2.0 }
query: { all: true, code: 010 }
records: [data]
size: { param: limit, max: 100 }
next: { token: { path: [next], param: cursor, life: 116s } }
more: { path: [has_more] }
order: newest-first
time: { path: [at], since: from, until: to, format: s, granularity: 1s }
id: [id]
version: [at]
columns:
  kind: { path: [kind], type: text }
`;

/** The problems of the good description with lines exchanged, each found by its word; a word alone is left out. */
function problemsWith(...lines: readonly string[]): string[] {
  const text = lines.reduce((whole, line) => {
    const word = /^(\w+):/.exec(line)?.[1] ?? '';
    const pattern = new RegExp(`^${word}:.*\n(?:  .*\n)*`, 'm');
    return pattern.test(whole)
      ? whole.replace(pattern, () => (line === `${word}:` ? '' : `${line}\n`))
      : `${whole}${line}\n`;
  }, GOOD);
  const { description, problems } = readDescription(text);
  assert.equal(description === null, problems.length > 0);
  return problems.map(({ line, column, message }) => `${line}:${column} ${message}`);
}

function warningsWith(text: string): string[] {
  const { problems, warnings } = readDescription(text);
  assert.deepEqual(problems, []);
  return warnings.map(({ line, message }) => `${line} ${message}`);
}

test('a description is read, with its defaults, and durations in milliseconds', () => {
  const { description, problems, warnings } = readDescription(GOOD);
  assert.deepEqual([problems, warnings], [[], []]);
  assert.equal(description?.method, 'GET');
  assert.equal(description.next.kind === 'token' && description.next.lifeMs, 116_000);
  assert.deepEqual(description.auth, { kind: 'bearer', token: '${THINGS_KEY}' });
});

test('headers and parameters are texts as they are written, whatever YAML takes them for', () => {
  const { description } = readDescription(GOOD);
  assert.deepEqual(description?.headers, { 'x-version': '2.0' });
  assert.deepEqual(description.query, { all: 'true', code: '010' });
});

test('an unknown word is named with its place, and with the word that may be meant', () => {
  assert.deepEqual(problemsWith('recrods: [data]'), [
    '17:1 recrods: there is no such word here; did you mean records?',
  ]);
  assert.deepEqual(problemsWith('size: { parm: limit, max: 100 }'), [
    '8:9 size.parm: there is no such word here; did you mean param?',
  ]);
  assert.deepEqual(problemsWith('next: { last_record: { path: [id], param: after } }'), [
    '9:9 next.last_record: there is no such word here; did you mean lastRecord?',
  ]);
  assert.deepEqual(problemsWith('auth: { oauth2: x }'), [
    '4:9 auth.oauth2: there is no such word here; expected bearer, header, basic, query',
  ]);
});

test('a mistyped word inside a list is found, too', () => {
  assert.deepEqual(problemsWith('limits: { refusedBy: [{ status: 403, remainin: 0 }] }'), [
    '17:38 limits.refusedBy.0.remainin: there is no such word here; did you mean remaining?',
  ]);
});

test('a word that is missing is named with what it is for', () => {
  const { problems } = readDescription('name: things\nurl: https://api.example.com/\nnext: { link: header }\n');
  assert.deepEqual(
    problems.map(({ line, column, message }) => `${line}:${column} ${message}`),
    ['1:1 records: is missing. Where the list of records is in an answer; [] when the body is the list.'],
  );
});

test('all problems are found at once, in the order of the file', () => {
  const found = problemsWith('name: Things', 'order: backwards', 'size: { param: limit, max: 0 }');
  assert.deepEqual(
    found.map((text) => text.split(' ')[0]),
    ['2:1', '8:23', '11:1'],
  );
});

test('a word that is said twice is refused', () => {
  assert.deepEqual(problemsWith('more: next-absent\nmore: short-page'), [
    '11:1 this is said twice: one of both must go',
  ]);
  assert.deepEqual(problemsWith('columns:\n  a: { path: [a], type: text }\n  a: { path: [b], type: text }'), [
    '17:3 this is said twice: one of both must go',
  ]);
});

test('what is no YAML, and what is no map of words, is refused with its place', () => {
  for (const text of ['a: [1', '\tname: x', 'name: !!js/function x', '- a', 'text', '', '--- a\n--- b', '<<: *x']) {
    const { description, problems } = readDescription(text);
    assert.equal(description, null, text);
    assert.ok(problems.length > 0 && problems.every(({ line, column }) => line > 0 && column > 0), text);
  }
});

test('what would be lost, or never end, as a value is a problem of its place', () => {
  assert.deepEqual(problemsWith('columns: &a { x: *a }'), ['15:18 this stands in itself']);
  assert.deepEqual(problemsWith('columns: { __proto__: { path: [a], type: text } }'), ['15:12 expected another name']);
  const digits = problemsWith('method: POST\nbody: { channel: 12345678901234567890 }').join();
  assert.match(digits, /too many digits: write it as a text/);
  assert.deepEqual(problemsWith('query: { channel: 12345678901234567890 }'), []);
  assert.match(problemsWith('headers: { X-A: a, x-a: b }').join(), /x-a: this is said twice/);
  assert.match(problemsWith('columns: { ctid: { path: [a], type: text } }').join(), /PostgreSQL has a column ctid/);
});

test('aliases that multiply are refused', () => {
  const bomb = [
    'a: &a [x]',
    ...Array.from(
      { length: 8 },
      (_, n) =>
        `b${n}: &b${n} [${Array(9)
          .fill(n === 0 ? '*a' : `*b${n - 1}`)
          .join(', ')}]`,
    ),
  ];
  assert.equal(readDescription(bomb.join('\n')).description, null);
});

const REFUSED: readonly (readonly [name: string, lines: readonly string[], problem: RegExp])[] = [
  [
    'two ways to the next page',
    ['next: { link: header, count: { param: p, first: 1, step: 1 } }'],
    /^9:1 next: expected one way, got link and count/,
  ],
  ['no way to the next page', ['next: {}'], /^9:1 next: expected one of token, link, lastRecord, count/],
  [
    'a token from two places',
    ['next: { token: { path: [a], header: b, param: c } }'],
    /^9:9 next.token: expected one of path/,
  ],
  ['a token that goes nowhere', ['next: { token: { path: [a] } }'], /^9:9 next.token: expected one of param/],
  [
    'a last record whose value is not unique',
    ['next: { lastRecord: { path: [at], param: after } }'],
    /^9:23 next.lastRecord.path: this value is not the id/,
  ],
  [
    'an inclusive one without within',
    ['next: { lastRecord: { path: [at], param: after, inclusive: true } }'],
    /next.lastRecord.path: .* would be lost/,
  ],
  [
    'the time of the last record of a list without an order',
    [
      'next: { lastRecord: { path: [at], param: after, inclusive: true, within: { count: { param: p, first: 1, step: 1 } } } }',
      'time: { path: [at], format: s, granularity: 1s }',
      'order: none',
    ],
    /^\d+:1 order: expected oldest-first or newest-first, because the last record's time/,
  ],
  [
    'within without inclusive',
    ['next: { lastRecord: { path: [at], param: after, within: { count: { param: p, first: 1, step: 1 } } } }'],
    /next.lastRecord.within: within needs inclusive/,
  ],
  [
    'an inclusive page of one record',
    ['next: { lastRecord: { path: [id], param: after, inclusive: true } }', 'size: { param: limit, max: 1 }'],
    /^8:23 size.max: an inclusive page/,
  ],
  [
    'a last record against the order',
    ['next: { lastRecord: { path: [id], param: from } }'],
    /^11:1 order: expected oldest-first/,
  ],
  [
    'an offset with another step than a page',
    ['next: { count: { param: offset, first: 0, step: 50 } }'],
    /next.count.step: expected 1 .* or 100/,
  ],
  ['short-page without size', ['size:', 'more: short-page'], /^9:1 more: short-page needs size/],
  ['two ends', ['more: { path: [a], link: next }'], /^10:1 more: expected one of path/],
  ['an end of its own', ['more: last-page'], /^10:1 more: expected next-absent, short-page/],
  ['an order without a time', ['time:'], /^11:1 order: an order needs time/],
  ['a body of a GET', ['body: { a: 1 }'], /^17:1 body: a body needs method: POST/],
  [
    'a size in the body of a GET',
    ['size: { bodyPath: [limit], max: 100 }'],
    /^8:9 size.bodyPath: a body needs method: POST/,
  ],
  ['a key in the file', ['auth: { bearer: sk_live_1 }'], /^4:9 auth.bearer: a key must not stand in a file/],
  ['two keys', ['auth: { bearer: "${A}", query: { param: a, value: "${A}" } }'], /^4:1 auth: expected one of bearer/],
  [
    'a key among the headers',
    ['headers: { Authorization: "Bearer ${A}" }'],
    /^5:12 headers.authorization: say it with auth/,
  ],
  ['a header of HTTP itself', ['headers: { Host: other }'], /^5:12 headers.host: the program sets/],
  ['a variable elsewhere', ['records: ["${WHERE}"]'], /^7:11 records.0: variables of the environment stand in/],
  ['a variable that is none', ['query: { a: "${my-var}" }'], /^6:10 query.a: \$\{my-var\} is no variable/],
  ['an address of another kind', ['url: ftp://example.com/'], /^3:1 url: expected an address/],
  ['an address with a password', ['url: "https://u:p@example.com/"'], /^3:1 url: expected no user/],
  [
    'a parameter that is the size’s',
    ['query: { limit: 5 }'],
    /^6:10 query.limit: the parameter limit is set by size.param/,
  ],
  [
    'a parameter with two meanings',
    ['next: { token: { path: [next], param: limit } }'],
    /next.token.param: the parameter limit is that of size.param/,
  ],
  [
    'a column of the program',
    ['columns: { extra: { path: [a], type: text } }'],
    /^15:12 columns.extra: the program has a column/,
  ],
  [
    'a key that is another',
    ['columns: { id: { path: [uid], type: text } }'],
    /^15:12 columns.id: the column id is the key/,
  ],
  [
    'a key that cannot be one',
    ['columns: { id: { path: [id], type: jsonb } }'],
    /columns.id.type: expected text, uuid or bigint/,
  ],
  [
    'one value in two columns',
    ['columns: { a: { path: [x], type: jsonb }, b: { path: [x, y], type: text } }'],
    /columns.b.path: this value is in the column a already/,
  ],
  [
    'a type of another database',
    ['columns: { a: { path: [x], type: varchar } }'],
    /columns.a.type: expected one of text, uuid/,
  ],
  [
    'a name that PostgreSQL would have to quote',
    ['columns: { kindOf: { path: [x], type: text } }'],
    /columns.kindOf: expected small letters/,
  ],
  ['a version that no column holds', ['version: [changed]'], /^14:1 version: this value must be in columns/],
  ['a version that is text', ['version: [kind]'], /columns.kind.type: expected one of bigint, numeric, timestamptz/],
  ['a header of two lines', ['headers: { X-A: "a\\nb" }'], /^5:12 headers.x-a: HTTP takes one line/],
  ['a newer version of nothing', ['id:'], /^13:1 version: version needs id/],
  ['a code with two meanings', ['errors: { path: [error], stale: [a], empty: [a] }'], /^17:1 errors: the code a/],
  [
    'a length of time without a unit',
    ['time: { path: [at], format: s, granularity: 1 }'],
    /time.granularity: expected a number with a unit/,
  ],
  ['a list body with something beside it', ['records: []'], /^9:18 next.token.path: the body is the list/],
];

for (const [name, lines, problem] of REFUSED) {
  test(`refused: ${name}`, () => {
    const found = problemsWith(...lines);
    assert.ok(
      found.some((text) => problem.test(text)),
      found.join('\n'),
    );
  });
}

test('nothing of a key that stands in the file is repeated', () => {
  const found = problemsWith(
    'auth: { bearer: geheim, header: { name: "ge heim", value: 7 } }',
    'url: "https://u:geheim@h/"',
  );
  assert.ok(found.length > 1);
  assert.doesNotMatch(found.join('\n'), /geheim/);
  assert.deepEqual(problemsWith('auth: { sk_live_51geheim }'), [
    '4:1 auth: there is something here that is no word; expected bearer, header, basic, query',
  ]);
});

test('what works, and has a price, is a warning', () => {
  assert.match(
    warningsWith(GOOD.replace('bearer: "${THINGS_KEY}"', 'query: { param: key, value: "${K}" }')).join(),
    /^4 auth.query: servers and proxies log addresses/,
  );
  const unsized = GOOD.replace(/^(size|more):.*\n/gm, '');
  assert.deepEqual(warningsWith(unsized), [], 'by time, what follows the first page shows it');
  assert.match(warningsWith(unsized.replace(/^(order|time|version):.*\n/gm, '')).join(), /^8 next.token: without size/);
  assert.match(warningsWith(GOOD.replace('https://api', 'http://api')).join(), /^3 url: the key is sent unencrypted/);
  assert.deepEqual(warningsWith(GOOD.replace('https://api.example.com', 'http://127.0.0.1:8000')), []);
  assert.match(warningsWith(GOOD.replace(/^(id|version):.*\n/gm, '')).join(), /without id, equal records are one row/);
  assert.match(
    warningsWith(GOOD.replace(', until: to', '').replace('1s }', '1s, cap: 10000 }')).join(),
    /^12 time.cap: .* code 5/,
  );
});
