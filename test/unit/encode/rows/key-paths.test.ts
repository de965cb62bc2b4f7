import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { encodePage, quoteEvent } from '../../../../src/encode/encode-page.ts';
import { compilePlan } from '../../../../src/encode/plan/compiled-plan.ts';
import { rebuildEvent } from '../../../../src/encode/rows/event-rebuilding.ts';
import { bytesOf } from './copy-stream-reader.ts';
import { encoded, planOf } from './planned-records.ts';

const NESTED = planOf({
  columns: [
    { name: 'login', type: 'text', path: ['user', 'login'] },
    { name: 'plan', type: 'text', path: ['user', 'account', 'plan'] },
    { name: 'naïve', type: 'bigint', path: ['user', 'größe "x"'] },
  ],
});

describe('a path of several keys', () => {
  const shapes: readonly (readonly [record: string, columns: readonly (string | null)[], extra: string | null])[] = [
    ['{"id":"e","user":{"account":{"plan":"p"},"login":"l","größe \\"x\\"":1}}', ['l', 'p', '1'], null],
    [
      '{"id":"e","user":{"login":"l","n":1.10,"account":{"seats":[5]}}}',
      ['l', null, null],
      '{"user":{"n":1.10,"account":{"seats":[5]}}}',
    ],
    ['{"id":"e","user":{"account":{}}}', [null, null, null], '{"user":{"account":{}}}'],
    ['{"id":"e","user":{}}', [null, null, null], '{"user":{}}'],
    ['{"id":"e","user":null}', [null, null, null], '{"user":null}'],
    ['{"id":"e","user":"u"}', [null, null, null], '{"user":"u"}'],
    ['{"id":"e","user":[{"login":"l"}]}', [null, null, null], '{"user":[{"login":"l"}]}'],
    ['{"id":"e","login":"l","account":1}', [null, null, null], '{"login":"l","account":1}'],
  ];
  for (const [record, columns, extra] of shapes) {
    it(`reads ${record}, and it can be rebuilt`, () => {
      const { rows } = encoded(NESTED, [record]);
      const [login, plan, naïve] = columns;
      const row = { id: 'e', login: login ?? null, plan: plan ?? null, naïve: naïve ?? null, extra };
      assert.deepEqual(rows, [row]);
      assert.deepEqual(JSON.parse(rebuildEvent(row, compilePlan(NESTED))), JSON.parse(record));
    });
  }

  it('may lead into an object that has a column of its own', () => {
    const plan = planOf({
      columns: [
        { name: 'user', type: 'jsonb', path: ['user'] },
        { name: 'login', type: 'text', path: ['user', 'login'] },
      ],
    });
    const records = ['{"id":"e","user":{"login":"l","n":{"a":1}}}', '{"id":"f","user":{"login":5,"n":1}}'];
    const { rows, anomalies } = encoded(plan, records);
    assert.deepEqual(rows, [
      { id: 'e', user: '{"login":"l","n":{"a":1}}', login: 'l', extra: null },
      { id: 'f', user: '{"login":5,"n":1}', login: null, extra: null },
    ]);
    assert.deepEqual(anomalies, ['login value-of-another-type']);
    for (const [index, row] of rows.entries()) {
      const rebuilt = rebuildEvent({ ...row, id: row['id'], extra: null }, compilePlan(plan));
      assert.deepEqual(JSON.parse(rebuilt), JSON.parse(records[index] ?? ''));
    }
  });

  it('is of one column alone', () => {
    const twice = planOf({
      columns: [
        { name: 'a', type: 'text', path: ['x', 'y'] },
        { name: 'b', type: 'bigint', path: ['x', 'y'] },
      ],
    });
    assert.throws(() => compilePlan(twice), /two columns are read from x\.y/);
    const ours = planOf({ columns: [{ name: 'extra', type: 'text', path: ['x'] }] });
    assert.throws(() => compilePlan(ours), /two columns are called extra/);
    const whole = planOf({ columns: [{ name: 'a', type: 'text', path: [] }] });
    assert.throws(() => compilePlan(whole), /the column a cannot be a hash of the record/);
  });

  it('can be one of very many', () => {
    const names = Array.from({ length: 300 }, (_, index) => `c${index}`);
    const plan = planOf({ columns: names.map((name) => ({ name, type: 'bigint', path: ['n', name] })) });
    const members = names.map((name, index) => `"${name}":${index}`);
    const { rows } = encoded(plan, [`{"n":{${members.toReversed().join(',')}},"id":"e"}`, `{"id":"f","n":{"c299":1}}`]);
    const row = (id: string, valueOf: (index: number) => string | null): object => ({
      id,
      ...Object.fromEntries(names.map((name, index) => [name, valueOf(index)])),
      extra: null,
    });
    assert.deepEqual(rows, [row('e', String), row('f', (index) => (index === 299 ? '1' : null))]);
  });
});

describe('the id of a record', () => {
  it('can be a bigint, and stand anywhere', () => {
    const plan = planOf({ id: { name: 'id', type: 'bigint', path: ['key', 'id'] } });
    const { rows, anomalies } = encoded(plan, [
      '{"key":{"id":9007199254740993}}',
      '{"key":{"id":"8"}}',
      '{"key":{"id":1.5}}',
      '{"key":{"id":"x"}}',
      '{"key":{"id":"-"}}',
      '{"id":1}',
    ]);
    assert.deepEqual(rows, [
      { id: '9007199254740993', extra: null },
      { id: '8', extra: '{"key":{"id":"8"}}' },
    ]);
    assert.deepEqual(anomalies, [...Array<string>(3).fill('id id-not-a-bigint'), 'id id-missing']);
  });

  it('is a hash of its bytes where it has none', () => {
    const plan = planOf({ id: { name: 'id', type: 'uuid', path: [] } });
    const { rows, anomalies } = encoded(plan, ['{"id":1}', '{"id":1}', '{"id":2}', '5']);
    assert.deepEqual(
      rows.map(({ extra }) => extra),
      ['{"id":1}', '{"id":1}', '{"id":2}'],
    );
    const [first, second, third] = rows.map(({ id }) => id?.replaceAll('-', ''));
    assert.equal(first, createHash('sha256').update('{"id":1}').digest('hex').slice(0, 32));
    assert.equal(second, first);
    assert.notEqual(third, first);
    assert.deepEqual(anomalies, ['event not-an-object']);
  });

  it('is quoted as the plan reads it', () => {
    const plan = compilePlan(planOf({ id: { name: 'id', type: 'bigint', path: ['n'] } }));
    assert.equal(quoteEvent(bytesOf('{"id":"x","n":12}'), 0, plan).eventId, '12');
  });
});

describe('the records of a page', () => {
  const places: readonly (readonly [path: readonly string[], page: string])[] = [
    [[], '[{"id":"e"}]'],
    [[], '\ufeff [ {"id":"e"} ]\n'],
    [['items'], '{"data":[{"id":"x"}],"items":[{"id":"e"}]}'],
    [['response', 'users'], '{"ok":true,"response":{"next":"c","users":[{"id":"e"}],"data":[1]}}'],
    [['a', 'b', 'c'], '{"c":[1],"a":{"c":[2],"b":{"c":[{"id":"e"}]}}}'],
  ];
  for (const [path, page] of places) {
    it(`are found at ${JSON.stringify(path)} in ${JSON.stringify(page)}`, () => {
      assert.deepEqual(encoded(planOf({ records: [{ path, rank: 1 }] }), [], page).rows, [{ id: 'e', extra: null }]);
    });
  }

  const faults: readonly (readonly [path: readonly string[], page: string, detail: RegExp])[] = [
    [[], '{"data":[]}', /got an object\.$/],
    [[], '5', /got JSON that is not an array\.$/],
    [['items'], '{"data":[]}', /got an object without an array "items"\.$/],
    [['response', 'users'], '{"response":{}}', /got an object without an array "response\.users"\.$/],
    [['items'], '[]', /got JSON that is not an object\.$/],
  ];
  for (const [path, page, detail] of faults) {
    it(`are missed at ${JSON.stringify(path)} in ${page}`, () => {
      const plan = compilePlan(planOf({ records: [{ path, rank: 1 }] }));
      const fault = encodePage(bytesOf(page), { plan, idColumnTypes: {}, firstSourceOrder: 0n, maxEventBytes: 1000 });
      assert.ok('fault' in fault);
      assert.equal(fault.fault, 'no-events');
      assert.match(fault.detail, detail);
    });
  }

  it('are read one by one where the body, a list, is damaged', () => {
    const plan = planOf({ records: [{ path: [], rank: 1 }] });
    const { rows, anomalies } = encoded(plan, [], '[{"id":"e"},{"id":"f"},,{"id":"g"}]');
    assert.deepEqual(
      rows.map(({ id }) => id),
      ['e', 'f', 'g'],
    );
    assert.deepEqual(anomalies, ['event comma-too-many']);
  });
});
