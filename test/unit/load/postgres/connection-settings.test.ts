import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigurationError } from '../../../../src/core/errors.ts';
import { readDatabaseUrl } from '../../../../src/load/postgres/connection-settings.ts';

function sslOf(query: string): readonly unknown[] {
  const { config, otherwise } = readDatabaseUrl(`postgres://user:pass@host/db${query}`);
  // node-postgres makes objects without a prototype.
  return (otherwise === null ? [config] : [config, otherwise]).map(({ ssl }) =>
    typeof ssl === 'object' ? { ...ssl } : ssl,
  );
}

function refusal(url: string): string {
  try {
    readDatabaseUrl(url);
  } catch (error) {
    assert.ok(error instanceof ConfigurationError, String(error));
    return error.message;
  }
  return assert.fail('the address was taken');
}

void test('sslmode means what it means for libpq', () => {
  assert.deepEqual(sslOf(''), [undefined]);
  assert.deepEqual(sslOf('?sslmode=disable'), [false]);
  assert.deepEqual(sslOf('?sslmode=allow'), [false, { rejectUnauthorized: false }]);
  assert.deepEqual(sslOf('?sslmode=prefer'), [{ rejectUnauthorized: false }, false]);
  assert.deepEqual(sslOf('?sslmode=require'), [{ rejectUnauthorized: false }]);
  assert.deepEqual(sslOf('?sslmode=verify-full'), [{}]);
  assert.match(refusal('postgres://host/db?sslmode=required'), /sslmode is none of disable, allow, prefer/);
});

void test('sslrootcert=system is the authorities that Node trusts, and goes with verify-full only', () => {
  assert.deepEqual(sslOf('?sslrootcert=system'), [{}]);
  assert.deepEqual(sslOf('?sslmode=verify-full&sslrootcert=system'), [{}]);
  assert.match(refusal('postgres://host/db?sslmode=require&sslrootcert=system'), /verify-full only/);
});

void test('a Unix socket is never encrypted', () => {
  for (const url of [
    'postgres://user@/db?host=/run/postgresql&sslmode=require',
    'postgres://%2Frun%2Fpostgresql/db?sslmode=prefer',
  ]) {
    const { config, otherwise } = readDatabaseUrl(url);
    assert.deepEqual([config.host, config.ssl, otherwise], ['/run/postgresql', false, null]);
  }
});

void test('user, password and database are decoded, and a bare % stands for itself', () => {
  const { config, described } = readDatabaseUrl('postgres://us%40er:100%@host:6000/my%40db');
  assert.deepEqual([config.user, config.password, config.database], ['us@er', '100%', 'my@db']);
  assert.equal(described, 'us@er@host:6000/my@db');
});

void test('an address that may have been meant otherwise is used, and not shown', () => {
  const { config, described, redact } = readDatabaseUrl('postgres://user:p@ss/word@host');
  assert.deepEqual([config.host, config.database], ['ss', 'word@host']);
  assert.equal(described, 'that DATABASE_URL names');
  assert.equal(redact('getaddrinfo ENOTFOUND word'), 'getaddrinfo ENOTFOUND [hidden]');
});

void test('an address that cannot be used is refused without any part of it', () => {
  for (const url of [
    'postgres://user:12/34secret@host/db',
    'postgres://user:se%63ret%@host/db',
    'postgres://user:secret@host:x/db',
  ])
    assert.doesNotMatch(refusal(url), /secret|se%63ret|user:[^<]/, url);
  assert.match(refusal('postgres://user:secret@host/db?sslrootcert=/nowhere'), /ENOENT/);
});

void test('a password that is also the user, host or database is hidden as a password only', () => {
  const { redact } = readDatabaseUrl('postgres://ingestion:ingestion@host/db');
  assert.equal(
    redact('role "ingestion" at postgres://ingestion:ingestion@host/db'),
    'role "ingestion" at postgres://ingestion:[hidden]@host/db',
  );
});
