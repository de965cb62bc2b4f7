import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describedSource } from '../../../../src/app/run/described-source.ts';
import { ConfigurationError } from '../../../../src/core/errors.ts';
import { descriptionSchema } from '../../../../src/source/description.ts';

const addressOf = (said: object, environment: Readonly<Record<string, string>>): string => {
  const description = descriptionSchema.parse({
    name: 'issues',
    url: 'https://api.example.com/repos/${REPOSITORY}/issues',
    auth: { bearer: '${TOKEN}' },
    records: [],
    next: { link: 'header' },
    id: ['id'],
    ...said,
  });
  return describedSource(description, environment).address;
};

test('what a variable stands for makes another data set, unless it is the key', () => {
  const rows = addressOf({}, { REPOSITORY: 'rows', TOKEN: 'one' });
  assert.equal(addressOf({}, { REPOSITORY: 'rows', TOKEN: 'two' }), rows);
  assert.notEqual(addressOf({}, { REPOSITORY: 'other', TOKEN: 'one' }), rows);
  const tenant = { query: { tenant: '${TENANT}' } };
  const [a, b] = ['a', 'b'].map((value) => addressOf(tenant, { REPOSITORY: 'rows', TOKEN: 'one', TENANT: value }));
  assert.notEqual(a, b);
});

test('an address shows neither keys nor what variables stand for; limits may change', () => {
  const address = addressOf({}, { REPOSITORY: 'private-name', TOKEN: 'sesame' });
  assert.doesNotMatch(address, /private-name|sesame/);
  assert.equal(addressOf({ limits: { perSecond: 2 } }, { REPOSITORY: 'private-name', TOKEN: 'sesame' }), address);
  assert.notEqual(addressOf({ id: ['number'] }, { REPOSITORY: 'private-name', TOKEN: 'sesame' }), address);
});

test('a description is wrong once a page for fewer records is not understood either, however many windows asked for theirs', () => {
  const description = descriptionSchema.parse({
    name: 'issues',
    url: 'https://api.example.com/issues',
    records: [],
    size: { param: 'per_page', max: 100 },
    next: { link: 'header' },
    id: ['id'],
  });
  const read = describedSource(description, {}).answerReader();
  const headers = { get: () => null, all: () => null };
  const isFull = (limit: number): ReturnType<typeof read> =>
    read(
      { url: new URL('https://api.example.com/issues'), cursor: null, limit, headers },
      { around: '[]', hasList: true, firstRecord: '{"id":1}', lastRecord: '{"id":2}' },
      limit,
    );
  for (const window of [1, 2, 3]) assert.ok('fault' in isFull(100), `window ${window}`);
  assert.throws(() => isFull(99), ConfigurationError);
});
