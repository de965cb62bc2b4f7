import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { commandLine, readSettings, type Environment, type Settings } from '../../../src/core/config.ts';
import { ConfigurationError } from '../../../src/core/errors.ts';
import { SETTING_GROUPS } from '../../../src/core/settings-table.ts';

function read(argv: readonly string[], environment: Environment = {}): Settings {
  return readSettings(commandLine('test', '', SETTING_GROUPS), argv, environment);
}

function isRefused(fits: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof ConfigurationError && fits.test(error.message);
}

describe('--follow', () => {
  it('means every 30 s where no interval is given, and refuses one request a second', () => {
    assert.equal(read([]).follow, undefined);
    assert.equal(read(['--follow']).follow, 30_000);
    assert.equal(read(['--follow', '--wait']).wait, true);
    assert.equal(read(['--follow', '5m']).follow, 300_000);
    assert.equal(read([], { FOLLOW: '5' }).follow, 5_000);
    assert.throws(() => read([], { FOLLOW: '1' }), isRefused(/--follow \(FOLLOW\): expected seconds.* from 5 to/));
  });

  it('has no bounds of time', () => {
    assert.throws(
      () => read(['--follow', '--since', '2026-01-01']),
      isRefused(/leave out --since \(SINCE\) and --until/),
    );
  });
});
