import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sourceOf } from '../../../../src/app/run/job-source.ts';

function nameOf(address: string): string {
  return sourceOf({ apiKey: 'key', databaseUrl: undefined, apiBaseUrl: `https://api.example.com/v1${address}` });
}

for (const name of ['author', 'keyword', 'monkey', 'authority', 'tokenized']) {
  void test(`a parameter ${name} selects events: another value is another source`, () => {
    assert.equal(nameOf(`?${name}=a`), `https://api.example.com/v1?${name}=a`);
  });
}

for (const name of ['key', 'api_key', 'apiKey', 'X-Access-Token', 'KEY', 'apikey', 'client_secret', 'accessToken']) {
  void test(`the value of a parameter ${name} is not shown, and another value is another source`, () => {
    const one = nameOf(`?${name}=first-secret&region=eu`);
    assert.doesNotMatch(one, /first-secret/);
    assert.match(one, /region=eu/);
    assert.equal(nameOf(`?${name}=first-secret&region=eu`), one);
    assert.notEqual(nameOf(`?${name}=second-secret&region=eu`), one);
  });
}

void test('a slash at the end, user and password make no other source', () => {
  assert.equal(
    sourceOf({ apiKey: 'k', databaseUrl: undefined, apiBaseUrl: 'https://u:p@api.example.com/v1/' }),
    nameOf(''),
  );
});
