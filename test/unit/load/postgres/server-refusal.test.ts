import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { ConfigurationError } from '../../../../src/core/errors.ts';
import { readDatabaseUrl } from '../../../../src/load/postgres/connection-settings.ts';
import { explainRefusal } from '../../../../src/load/postgres/server-refusal.ts';

const SETTINGS = readDatabaseUrl('postgresql://job:secret@127.0.0.1:1/db');

function explained(code: string, fields: Partial<pg.DatabaseError> = {}): unknown {
  const error = Object.assign(new pg.DatabaseError('what it says, with secret', 7, 'error'), { code }, fields);
  return explainRefusal(error, 'a test', SETTINGS);
}

const RAISE = { routine: 'exec_stmt_raise', where: 'PL/pgSQL function no_ddl() line 1 at RAISE\nand more' };

for (const [what, found, says] of [
  ['a right that is lacking', explained('42501'), /GRANT the role what it lacks/],
  ['a schema that was dropped', explained('3F000'), /find out who has dropped it/],
  ['a table that was dropped', explained('42P01'), /find out who has dropped it/],
  [
    'an event trigger',
    explained('P0001', RAISE),
    /\(P0001\), in PL\/pgSQL function no_ddl\(\) line 1 at RAISE\)\..*let it spare/,
  ],
  ['an event trigger with a SQLSTATE of its own', explained('DDL01', RAISE), /let it spare the job/],
  ['a bug of the server', explained('XX000'), /look into the server's log/],
  ['a corrupted index', explained('XX002'), /look into the server's log/],
  ['a file that cannot be read', explained('58030'), /look into the server's log/],
  ['a foreign server', explained('HV000'), /look into the server's log/],
] as const) {
  test(`${what} is for a person to mend`, () => {
    assert.ok(found instanceof ConfigurationError);
    assert.match(found.message, says);
    assert.doesNotMatch(found.message, /secret|and more/);
  });
}

test('what may pass by itself is left to whoever tries again', () => {
  for (const code of ['57P03', '08006', '40P01', '55P03', '53100', '53300'])
    assert.ok(explained(code, RAISE) instanceof pg.DatabaseError);
});

test('what only a defect of the program can be stays what it is', () => {
  for (const code of ['42601', '42703', '22012']) assert.ok(explained(code) instanceof pg.DatabaseError);
  const other = new Error('a defect');
  assert.equal(explainRefusal(other, 'a test', SETTINGS), other);
});
