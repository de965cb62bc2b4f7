import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { openSource, addressOf } from '../../../../src/app/run/job-source.ts';
import { commandLine, readSettings } from '../../../../src/core/config.ts';
import { ConfigurationError } from '../../../../src/core/errors.ts';
import { SETTING_GROUPS } from '../../../../src/core/settings-table.ts';

function nameOf(address: string): string {
  return addressOf({ apiKey: 'key', databaseUrl: undefined, apiBaseUrl: `https://api.example.com/v1${address}` });
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
    addressOf({ apiKey: 'k', databaseUrl: undefined, apiBaseUrl: 'https://u:p@api.example.com/v1/' }),
    nameOf(''),
  );
});

for (const named of ['API_BASE_URL=https://api.example.com/v1', 'DATABASE_URL=postgres://localhost/events']) {
  void test(`whoever sets ${named} and forgets the key does not get the demo`, async () => {
    const [variable = '', value] = named.split(/=(.*)/);
    const settings = readSettings(commandLine('npm start', '', SETTING_GROUPS), [], { [variable]: value });
    const opening = openSource(settings, false, pino({ level: 'silent' }));
    await assert.rejects(
      opening,
      (error) => error instanceof ConfigurationError && /set TARGET_API_KEY/.test(error.message),
    );
  });
}
