import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isKnown, readEnvFile } from '../../../src/core/env-file.ts';
import { ConfigurationError } from '../../../src/core/errors.ts';

function pathIn(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'datasync-env-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  return join(folder, '.env');
}

function valuesOf(t: TestContext, content: string | Uint8Array): Readonly<Record<string, string>> {
  const path = pathIn(t);
  writeFileSync(path, content);
  return readEnvFile(path, {});
}

function assertRefused(t: TestContext, content: string | Uint8Array, problem: RegExp): void {
  assert.throws(
    () => valuesOf(t, content),
    (error) => error instanceof ConfigurationError && problem.test(error.message) && !/secret/.test(error.message),
    String(content),
  );
}

void test('no file, an empty one, and one of comments are fine', (t) => {
  assert.deepEqual(readEnvFile(pathIn(t), {}), {});
  for (const content of ['', '\n\n', '\ufeff', '# TARGET_API_KEY: x\n  # and so on', '\ufeff# \r\n']) {
    assert.deepEqual(valuesOf(t, content), {}, JSON.stringify(content));
  }
});

void test('assignments are read, however they are written', (t) => {
  for (const line of [
    'TARGET_API_KEY=x',
    '  TARGET_API_KEY = x  ',
    'TARGET_API_KEY="x"',
    "TARGET_API_KEY='x' # comment",
    'export TARGET_API_KEY=x',
    'TARGET_API_KEY=x # comment',
  ]) {
    for (const text of [line, `\ufeff${line}`, `# first\r\n${line}\r\n`, `OTHER=y\n${line}`]) {
      assert.equal(valuesOf(t, text)['TARGET_API_KEY'], 'x', JSON.stringify(text));
    }
  }
  assert.equal(valuesOf(t, 'LOG_LEVEL="a\nb"\n')['LOG_LEVEL'], 'a\nb');
});

void test('a file in UTF-16 is read', (t) => {
  const text = Buffer.from('\ufeff# Schlüssel\r\nTARGET_API_KEY=x\r\n', 'utf16le');
  assert.deepEqual(valuesOf(t, text), { TARGET_API_KEY: 'x' });
  assert.deepEqual(valuesOf(t, Buffer.from(text).swap16()), { TARGET_API_KEY: 'x' });
  assertRefused(t, text.subarray(2), /no text in UTF-8/);
});

void test('a line that is neither a comment nor an assignment is refused, by its number', (t) => {
  for (const line of [
    'TARGET_API_KEY: secret',
    'secret',
    'export secret',
    '=secret',
    'LOG_LEVEL="secret',
    '1A=secret',
    '"A"=secret',
  ])
    assertRefused(t, `# one\nLOG_LEVEL=info\n${line}\nMAX_RPS=1\n`, /line 3 is neither/);
  assertRefused(t, 'a\nb\nc\nd\ne\nf\ng\n', /line 1, 2, 3, 4, 5 … is neither/);
  assertRefused(t, Buffer.from([...Buffer.from('LOG_LEVEL=inf'), 0xfc]), /line 1 is neither/);
});

void test('a # inside of a word is refused, unless quotes say that it belongs to the value', (t) => {
  for (const value of ['secret#1', '#secret', 'a secret#1 # comment']) {
    assertRefused(t, `LOG_LEVEL=info\nTARGET_API_KEY=${value}\n`, /value in line 2 has a # in it.*quotes/);
  }
  assert.equal(valuesOf(t, "TARGET_API_KEY='k#1' # comment#1")['TARGET_API_KEY'], 'k#1');
  assert.equal(valuesOf(t, 'TARGET_API_KEY=k # comment#1')['TARGET_API_KEY'], 'k');
  assert.equal(valuesOf(t, 'TARGET_API_KEY= # none')['TARGET_API_KEY'], '');
});

void test('assignments none of which anybody reads are refused', (t) => {
  assertRefused(t, 'APIKEY=secret\nDB=secret\n', /none of the names that it sets/);
  assertRefused(t, 'c2VjcmV0=\n', /none of the names that it sets/);
  for (const line of ['POSTGRES_HOST_PORT=5', 'http_proxy=http://proxy', 'COMPOSE_PROFILES=demo'])
    valuesOf(t, `A=b\n${line}`);
});

void test('a description of a source may read any name', (t) => {
  const path = pathIn(t);
  writeFileSync(path, 'STRIPE_KEY=k\n');
  assert.deepEqual(readEnvFile(path, {}, true), { STRIPE_KEY: 'k' });
});

void test('what Node reads before the file is refused, unless it is set in the shell as well', (t) => {
  assertRefused(t, 'LOG_LEVEL=info\nNODE_EXTRA_CA_CERTS=/secret.pem\n', /NODE_EXTRA_CA_CERTS has no effect there/);
  const path = pathIn(t);
  writeFileSync(path, 'LOG_LEVEL=info\nNODE_EXTRA_CA_CERTS=/ca.pem\n');
  assert.equal(readEnvFile(path, { NODE_EXTRA_CA_CERTS: '/other.pem' })['LOG_LEVEL'], 'info');
});

void test('a folder, a dangling link and a link in a circle are refused', (t) => {
  const folder = pathIn(t);
  mkdirSync(folder);
  const dangling = pathIn(t);
  symlinkSync('nowhere', dangling);
  const circle = pathIn(t);
  symlinkSync('.env', circle);
  for (const [path, problem] of [
    [folder, /it is a folder/],
    [dangling, /it is a link to something that does not exist/],
    [circle, /leads to itself/],
  ] as const) {
    assert.throws(() => readEnvFile(path, {}), problem);
  }
});

void test('what docker-compose.yml and the scripts read counts as known', () => {
  const root = new URL('../../../', import.meta.url);
  for (const [file, pattern] of [
    ['docker-compose.yml', /\$\{([A-Z_]+)/g],
    ['run-ingestion.sh', /\$\{([A-Z_]+):-/g],
    ['run-ingestion.sh', /\bsetting ([A-Z_]+)/g],
    ['submit.sh', /\bsetting ([A-Z_]+)/g],
  ] as const) {
    const text = readFileSync(fileURLToPath(new URL(file, root)), 'utf8');
    const names = [...text.matchAll(pattern)].map(([, name = '']) => name).filter((name) => name !== 'TMPDIR');
    assert.deepEqual(
      names.filter((name) => !isKnown(name)),
      [],
      file,
    );
  }
});
