import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { HelpShown, commandLine, readSettings, secretsOf, type Environment } from '../../../src/core/config.ts';
import { ConfigurationError } from '../../../src/core/errors.ts';
import { SETTING_GROUPS, SETTINGS } from '../../../src/core/settings-table.ts';

function read(argv: readonly string[], environment: Environment = {}) {
  return readSettings(commandLine('test', '', SETTING_GROUPS), argv, environment);
}

/** The message that these settings are refused with. */
function refusal(argv: readonly string[], environment: Environment = {}): string {
  try {
    read(argv, environment);
  } catch (error) {
    assert.ok(error instanceof ConfigurationError, String(error));
    assert.equal(error.exitCode, 2);
    return error.message;
  }
  return assert.fail('the settings were taken');
}

describe('the table of settings', () => {
  it('gives no variable and no flag to two settings', () => {
    for (const key of ['variable', 'flag'] as const) {
      assert.equal(new Set(SETTINGS.map((setting) => setting[key])).size, SETTINGS.length);
    }
  });

  it('has defaults that are taken', () => {
    const settings = read([]);
    assert.equal(settings.apiBaseUrl, 'https://datasync-api.example.com/api/v1');
    assert.equal(settings.concurrency, 8);
    assert.equal(settings.mergeInterval, 15_000);
    assert.equal(settings.lookback, 3_600_000);
    assert.equal(settings.maxBytesInFlight, 96 * 2 ** 20);
    assert.equal(settings.full, false);
    for (const name of ['apiKey', 'databaseUrl', 'maxRps', 'since', 'maxRejected', 'httpPort', 'keepAlive'] as const) {
      assert.equal(settings[name], undefined, name);
    }
    assert.ok(Object.isFrozen(settings));
  });
});

describe('values', () => {
  const taken: [flag: string, text: string, value: unknown][] = [
    ['--max-wait', '90', 90_000],
    ['--max-wait', '1.5s', 1_500],
    ['--max-wait', '10m', 600_000],
    ['--max-wait', '1 h', 3_600_000],
    ['--max-wait', '7d', 7 * 86_400_000],
    ['--connect-timeout', '0.1', 100],
    ['--max-event-bytes', '2048', 2048],
    ['--max-event-bytes', '4KiB', 4096],
    ['--max-event-bytes', '16 mib', 16 * 2 ** 20],
    ['--max-bytes-in-flight', '1GiB', 2 ** 30],
    ['--concurrency', '256', 256],
    ['--max-rejected', '0', { events: 0 }],
    ['--max-rejected', '12.5%', { share: 0.125 }],
    ['--max-rps', '0.5', 0.5],
    ['--since', '2026-01-01T00:00:00Z', Date.UTC(2026, 0)],
    ['--since', '2026-01-01', Date.UTC(2026, 0)],
    ['--since', '2026-01-01 02:00:00', Date.UTC(2026, 0, 1, 2)],
    ['--since', '2026-01-01T02:00+02:00', Date.UTC(2026, 0)],
    ['--since', '2026-01-27T19:20:12.369123Z', Date.UTC(2026, 0, 27, 19, 20, 12) + 369.123],
    ['--since', '20260127192012', Date.UTC(2026, 0, 27, 19, 20, 12)],
    ['--since', '20260127192012369', Date.UTC(2026, 0, 27, 19, 20, 12, 369)],
    ['--since', '20260127192012.5+0200', Date.UTC(2026, 0, 27, 17, 20, 12, 500)],
    ['--since', '1769541612', 1_769_541_612_000],
    ['--since', '-769541612', -769_541_612_000],
    ['--until', '1767225600000', 1_767_225_600_000],
    ['--until', '1767225600000000', 1_767_225_600_000],
    ['--endpoint', 'events', 'events'],
    ['--api-base-url', 'http://localhost:8080/api/v1//', 'http://localhost:8080/api/v1'],
    ['--database-url', 'postgres:///ingestion', 'postgres:///ingestion'],
    ['--http-host', '::1', '::1'],
  ];
  for (const [flag, text, value] of taken) {
    it(`take ${flag} ${text}`, () => {
      const name = SETTINGS.find((setting) => setting.flag === flag)?.name ?? '';
      const settings: Readonly<Record<string, unknown>> = read([`${flag}=${text}`]);
      assert.deepEqual(settings[name], value);
    });
  }

  const refused: [flag: string, text: string, message: RegExp][] = [
    [
      '--max-wait',
      '0.5',
      /--max-wait \(MAX_WAIT\): expected seconds, or a duration like 10m, from 1 to 604800 seconds/,
    ],
    ['--max-wait', '8d', /got "8d"/],
    ['--max-wait', '-5', /got "-5"/],
    ['--max-wait', '5 parsecs', /got "5 parsecs"/],
    ['--max-wait', '1.5.2s', /got "1\.5\.2s"/],
    ['--max-event-bytes', '1023', /expected bytes, or a size like 96MiB, from 1024 to 268435456 bytes, got "1023"/],
    ['--max-event-bytes', '16MB', /got "16MB"/],
    ['--concurrency', '0', /expected a whole number from 1 to 256, got "0"/],
    ['--concurrency', '257', /got "257"/],
    ['--concurrency', '8.5', /got "8\.5"/],
    ['--concurrency', '1e2', /got "1e2"/],
    ['--concurrency', '', /got ""/],
    ['--max-rejected', '101%', /expected a whole number of events, or a percentage like 5%, got "101%"/],
    ['--max-rejected', '-1', /got "-1"/],
    ['--max-rps', '0', /expected a number from 0\.001 to 100000, got "0"/],
    ['--since', 'yesterday', /expected a time like 2026-01-27T19:20:12Z .*got "yesterday"/],
    ...['2026', '-1', '20260127', '202601271920', '9e15', '1.7e9', '', 'Room 101', '01/02/2026'].map(
      (text): [string, string, RegExp] => ['--since', text, /expected a time like/],
    ),
    // No such date, or no such hour: as milliseconds each would be a time far in the future.
    ...['20260230192012', '20261327192012', '20260127252012', '20260230192012369'].map(
      (text): [string, string, RegExp] => ['--until', text, /expected a time like/],
    ),
    ...[
      '2026-02-30',
      '2026-13-01',
      '2026-01-01T25:00',
      '2026-1-1',
      '2026-01',
      'Jan 1 2026',
      'now',
      '2026-01-01T00:00 CET',
    ].map((text): [string, string, RegExp] => ['--until', text, /expected a time like/]),
    ['--since', '1'.repeat(40), /got "1{40}"/],
    ['--lookback', `1\r\n${'x'.repeat(100)}`, /got "1\\r\\nx{50,}…"$/],
    ['--endpoint', 'both', /expected auto, stream, events; got "both"/],
    ['--api-base-url', 'ftp://host/api', /expected a URL beginning with http:\/\/ or https:\/\//],
    ['--api-base-url', 'host/api', /expected a URL/],
    ['--database-url', 'mysql://host/db', /expected postgresql:\/\//],
    ['--user-agent', 'Zoë', /expected printable ASCII/],
    ['--http-host', 'a b', /expected a host name/],
    ['--source', 'No Name', /--source \(SOURCE_NAME\): expected a name of at most 40 small letters/],
  ];
  for (const [flag, text, message] of refused) {
    it(`refuse ${flag} ${JSON.stringify(text)}`, () => {
      assert.match(refusal([`${flag}=${text}`]), message);
    });
  }

  it('of switches are on by the flag alone, and on or off by the variable', () => {
    assert.equal(read(['--full']).full, true);
    for (const on of ['1', 'true', 'YES', 'on']) assert.equal(read([], { FULL: on }).full, true, on);
    for (const off of ['0', 'False', 'no', 'off', '']) assert.equal(read([], { FULL: off }).full, false, off);
    assert.match(refusal([], { FULL: '2' }), /--full \(FULL\): expected 1 or 0, got "2"/);
  });

  it('of one switch turn on no other', () => {
    const switches = SETTINGS.filter((setting) => setting.isSwitch);
    assert.ok(switches.length >= 5);
    for (const { variable, name } of switches) {
      const settings: Readonly<Record<string, unknown>> = read([], { [variable]: '1' });
      const on = switches.filter((other) => settings[other.name] === true).map((other) => other.name);
      assert.deepEqual(on, [name]);
    }
  });
});

describe('where a value comes from', () => {
  it('is the flag, else the variable, else the default; an empty variable is not set', () => {
    assert.equal(read(['--page-size', '7'], { BATCH_SIZE: '9' }).pageSize, 7);
    assert.equal(read([], { BATCH_SIZE: ' 9 ' }).pageSize, 9);
    assert.equal(read([], { BATCH_SIZE: '  ' }).pageSize, 5000);
    assert.equal(read([], { TARGET_API_KEY: '' }).apiKey, undefined);
  });

  it('is a variable in lower case too where other programs write it so', () => {
    assert.equal(read([], { https_proxy: 'http://proxy:3128' }).httpsProxy, 'http://proxy:3128');
    assert.equal(read([], { HTTPS_PROXY: 'http://upper', https_proxy: 'http://lower' }).httpsProxy, 'http://upper');
    assert.equal(read([], { batch_size: '9' }).pageSize, 5000);
  });

  it('is .env for what the shell does not set', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'datasync-env-'));
    t.after(() => {
      rmSync(folder, { recursive: true });
    });
    // Each value is wrong in its own way, so that the refusal says which ones were read.
    writeFileSync(join(folder, '.env'), 'BATCH_SIZE=file\nMAX_WAIT=file\nCONNECT_TIMEOUT=file\n');
    const main = fileURLToPath(new URL('../../../src/main.ts', import.meta.url));
    const { status, stderr } = spawnSync(
      process.execPath,
      ['--import', import.meta.resolve('tsx'), main, '--connect-timeout', 'flag'],
      { cwd: folder, env: { PATH: process.env['PATH'], BATCH_SIZE: 'shell' }, encoding: 'utf8' },
    );
    assert.equal(status, 2, stderr);
    assert.match(stderr, /--page-size.* got "shell".*--max-wait.* got "file".*--connect-timeout.* got "flag"/);
  });
});

describe('problems', () => {
  it('are all named at once, by flag and variable', () => {
    const message = refusal(['--page-size', '0'], { MAX_WAIT: 'never', HTTP_PROXY: 'proxy', LOG_LEVEL: 'loud' });
    assert.equal(message.split(/; (?=--|HTTP_)/).length, 4, message);
    for (const part of [
      '--page-size (BATCH_SIZE)',
      '--max-wait (MAX_WAIT)',
      'HTTP_PROXY:',
      '--log-level (LOG_LEVEL)',
    ]) {
      assert.ok(message.includes(part), message);
    }
  });

  it('are unknown flags, flags without their value, and words', () => {
    assert.match(refusal(['--page-sise', '9']), /unknown option '--page-sise'.*--help lists what there is/);
    assert.match(refusal(['--page-size']), /'--page-size <events>' argument missing/);
    assert.match(refusal(['ingest', '--full']), /"ingest" is neither a command nor a flag/);
  });

  it('repeat nothing that could be a secret', () => {
    for (const argv of [
      ['--apikey=s3cr3t'],
      ['--api-key', 's3cr3t', 's3cr3t'],
      ['--databse-url', 'postgres://user:s3cr3t@host/db'],
      ['postgres://user:s3cr3t@host/db'],
      ['-s3cr3t'],
      ['--full', 's3cr3t'],
    ]) {
      const message = refusal(argv);
      assert.match(message, /--help lists what there is/);
      assert.doesNotMatch(message, /s3cr3t/);
    }
    assert.match(refusal(['--apikey=s3cr3t']), /^unknown option '--apikey';/);
  });

  it('are flags that npm has taken for itself', () => {
    const taken = refusal([], { npm_config_max_rps: '1', npm_config_full: 'true' });
    assert.match(taken, /npm has taken --max-rps and --full for itself: write -- before flags/);
    assert.match(refusal(['2026-01-01'], { npm_config_since: 'true' }), /--since/);
    const ofNpm = {
      npm_config_user_agent: 'npm/11',
      npm_config_yes: 'true',
      npm_config_proxy: 'http://x',
      npm_config_cache: '/c',
    };
    const ofAUser = { npm_config_https_proxy: 'http://proxy', npm_config_noproxy: '', npm_config_json: 'true' };
    assert.equal(read([], { ...ofNpm, ...ofAUser }).yes, false);
    // What is no flag of a command can have meant something else.
    readSettings(commandLine('test', '', ['output']), [], { npm_config_max_rps: '1' });
  });

  it('are flags of groups that the command does not take', () => {
    assert.throws(
      () => readSettings(commandLine('test', '', ['output']), ['--page-size', '9'], {}),
      /unknown option '--page-size'/,
    );
  });

  it('are bounds of time that hold nothing', () => {
    assert.match(
      refusal(['--since', '2026-01-02', '--until', '2026-01-01']),
      /--since \(SINCE\) is later than --until \(UNTIL\)/,
    );
    assert.equal(read(['--since', '2026-01-01', '--until', '2026-01-01']).until, Date.UTC(2026, 0));
  });

  it('never quote a secret', () => {
    const secrets = SETTINGS.filter((setting) => setting.secret);
    assert.ok(secrets.length >= 4);
    for (const { variable } of secrets) {
      const message = refusal([], { [variable]: 's3cr3t-ß' });
      assert.match(message, new RegExp(`${variable}.*expected`));
      assert.doesNotMatch(message, /s3cr3t/);
    }
  });
});

describe('secrets of the settings', () => {
  it('are the key, and the passwords inside addresses, as written and decoded', () => {
    const settings = read([], {
      TARGET_API_KEY: 'the-key',
      API_BASE_URL: 'https://user:in-api@host/api/v1',
      DATABASE_URL: 'postgresql://user:p%40ss@host/db?application_name=ingestion',
      HTTPS_PROXY: 'http://user:in-proxy@proxy:3128',
    });
    assert.deepEqual(secretsOf(settings).sort(), ['in-api', 'in-proxy', 'p%40ss', 'p@ss', 'the-key']);
    assert.deepEqual(secretsOf(read([])), []);
    assert.deepEqual(secretsOf(read([], { DATABASE_URL: 'postgres://u:100%@host/db' })).sort(), ['100%', '100%25']);
  });
});

describe('help', () => {
  it('lists flags with variable, unit and default, and is not an error of the settings', () => {
    const written: string[] = [];
    const command = commandLine('test', 'what it does', ['speed']).configureOutput({
      writeOut: (text) => written.push(text),
    });
    assert.throws(() => readSettings(command, ['--help'], {}), HelpShown);
    const text = written.join('').replaceAll(/\s+/g, ' ');
    assert.match(text, /--page-size <events> Events a request asks for.* \[BATCH_SIZE; events; default 5000\]/);
    assert.doesNotMatch(text, /--api-key/);
  });
});
