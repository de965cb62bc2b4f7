import assert from 'node:assert/strict';
import { test } from 'node:test';
import { basicCredentials, passwordsIn, readAddress } from '../../../src/core/addresses.ts';

function partsOf(text: string): readonly [user: string, password: string, behind: string] {
  const read = readAddress(text);
  if (typeof read === 'string') return assert.fail(`${text}: ${read}`);
  assert.ok(URL.canParse(read.text.replace('@/', '@localhost/')), read.text);
  return [read.user, read.password, read.behind];
}

function problemOf(text: string): string {
  const read = readAddress(text);
  return typeof read === 'string' ? read : '';
}

void test('an address with one reading is taken apart', () => {
  for (const [text, ...parts] of [
    ['postgres://host/db', '', '', 'host/db'],
    ['postgres:///db', '', '', '/db'],
    ['postgres://user@host/db', 'user', '', 'host/db'],
    ['postgres://user:pass@host:5432/db?sslmode=require', 'user', 'pass', 'host:5432/db'],
    ['postgres://user:pass@/db?host=/run/postgresql', 'user', 'pass', '/db'],
    ['postgres://user:p@ss@host/db', 'user', 'p@ss', 'host/db'],
    ['postgres://user:p:ss@host/db', 'user', 'p:ss', 'host/db'],
    ['postgres://user:p w@host/db', 'user', 'p w', 'host/db'],
    ['postgres://us%40er:p%2Fw%3F%23@host/db', 'us@er', 'p/w?#', 'host/db'],
    ['postgres://user:100%@host/db', 'user', '100%', 'host/db'],
    ['postgres://user:%zz%@host/db', 'user', '%zz%', 'host/db'],
    ['postgres://user:%ff@host/db', 'user', '%ff', 'host/db'],
    ['postgres://us%er:p%40@host/db', 'us%er', 'p@', 'host/db'],
    ['postgres://host:5432/db?user=name@server&application_name=a@b', '', '', 'host:5432/db'],
    ['postgres://user:pass@host/db#old', 'user', 'pass', 'host/db'],
    ['http://user:pass@host:8080/api/v1', 'user', 'pass', 'host:8080/api/v1'],
    ['https://host/@scope/api/v1?email=a@b.c', '', '', 'host/@scope/api/v1'],
    ['https://host/api%zz/%41?q=%', '', '', 'host/api%zz/%41'],
  ] as const) {
    assert.deepEqual(partsOf(text), parts, text);
  }
});

void test('an address with more than one reading is refused, with the way to write it, and nothing of it', () => {
  for (const password of [
    '12/34secret',
    '1#secret',
    '1?secret',
    'se/cret',
    'se#cret',
    'se?cret',
    '12/:secret',
    'a@b/secret',
  ]) {
    for (const scheme of ['postgres', 'postgresql', 'http', 'https']) {
      const read = readAddress(`${scheme}://somebody:${password}@database.test/shop`);
      assert.ok(typeof read === 'string', `${scheme} ${password}`);
      assert.match(read, /%40 for @/);
      assert.doesNotMatch(read, /cret|somebody|database|shop/);
    }
  }
  assert.match(problemOf('postgres://user:50%25 or 50%@host/db'), /some % .*%25 for %/);
  assert.match(problemOf('http://user:12\\secret@host/'), /more than one reading/);
  assert.equal(typeof readAddress('postgres://us/er:pass@host/db'), 'string');
});

void test('a database whose name has an @ can be used, and nothing of its address is shown', () => {
  const read = readAddress('postgres://user:pass@host/my@db');
  assert.ok(typeof read === 'object' && read.isVeiled);
  assert.deepEqual(
    new Set(passwordsIn('postgres://user:pass@host/my@db')),
    new Set(['pass', 'user', 'host', 'my', 'db']),
  );
});

void test('the passwords of an address are those that can be told from its other words', () => {
  assert.deepEqual(passwordsIn('postgres://user:se%40cret@host/db'), ['se@cret', 'se%40cret']);
  assert.deepEqual(passwordsIn('postgres://host/db?user=a&password=secret'), ['secret']);
  for (const same of ['postgres://same:same@host/db', 'postgres://user:same@same/db', 'postgres://user:same@host/same'])
    assert.deepEqual(passwordsIn(same), []);
});

void test('credentials are those of the address, decoded', () => {
  assert.equal(basicCredentials('http://host/'), null);
  assert.equal(basicCredentials('http://us%40er:100%@host/'), `Basic ${Buffer.from('us@er:100%').toString('base64')}`);
});
