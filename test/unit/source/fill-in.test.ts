import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigurationError } from '../../../src/core/errors.ts';
import { brokenPlaceholdersIn, placeholdersIn } from '../../../src/source/fill-in.ts';
import { described } from './described.ts';

const TAKES_VARIABLES = {
  url: 'https://${HOST}/things',
  method: 'POST',
  headers: { 'x-team': '${TEAM}' },
  query: { part: 'a ${PART}' },
  body: { deep: [{ in: '${TEAM}-${PART}' }], n: 1, none: null },
  auth: { bearer: '${KEY}' },
};
const SET = { HOST: 'api.example.com', TEAM: 'red', PART: 'one', KEY: ' secret\n' };

test('variables are filled in where they may stand, and the description stays as it was written', () => {
  const source = described(TAKES_VARIABLES, SET);
  assert.equal(source.url.href, 'https://api.example.com/things');
  assert.deepEqual(source.headers, { 'x-team': 'red' });
  assert.deepEqual(source.query, { part: 'a one' });
  assert.deepEqual(source.body, { deep: [{ in: 'red-one' }], n: 1, none: null });
  assert.deepEqual(source.auth, { kind: 'bearer', token: 'secret' });
  assert.equal(source.description.url, TAKES_VARIABLES.url);
  assert.deepEqual(source.description.auth, { kind: 'bearer', token: '${KEY}' });
  assert.deepEqual(source.secrets, ['api.example.com', 'red', 'one', 'secret']);
});

test('all variables that are not set are named at once', () => {
  assert.throws(
    () => described(TAKES_VARIABLES, { HOST: 'api.example.com', TEAM: ' ' }),
    (error) =>
      error instanceof ConfigurationError &&
      /TEAM and PART and KEY from the environment, which are not set/.test(error.message),
  );
});

test('an address that is none, or that names a user, is refused without showing what the variable holds', () => {
  for (const HOST of ['', 'user:geheim@host', 'a b geheim', '#geheim'].filter((host) => host !== '')) {
    assert.throws(
      () => described(TAKES_VARIABLES, { ...SET, HOST }),
      (error) => error instanceof ConfigurationError && !error.message.includes('geheim'),
      HOST,
    );
  }
});

test('a header that HTTP does not take is refused', () => {
  assert.throws(() => described(TAKES_VARIABLES, { ...SET, TEAM: 'a\nb' }), /The header x-team of the source things/);
});

test('placeholders are told from what only looks like one', () => {
  assert.deepEqual(placeholdersIn('${A}/${b_2}$C'), ['A', 'b_2']);
  assert.deepEqual(brokenPlaceholdersIn('${A} ${my-key} ${} ${'), ['${my-key}', '${}', '${']);
});
