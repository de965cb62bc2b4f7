import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import {
  ConnectionLostError,
  classifyDatabaseError,
  connectingError,
} from '../../../../src/load/postgres/database-errors.ts';

function serverError(code: string, fields: Partial<pg.DatabaseError> = {}): pg.DatabaseError {
  return Object.assign(new pg.DatabaseError('message', 7, 'error'), { code }, fields);
}

const ROUTINE = { file: 'pqformat.c', line: '530', routine: 'pq_copymsgbytes' };

const CASES: readonly (readonly [string, unknown, string])[] = [
  ['a field whose length does not fit its type', serverError('08P01', ROUTINE), 'data'],
  ['a pooler that has no connection, with the same code', connectingError('a test', serverError('08P01')), 'transient'],
  ['a database that takes no connections', connectingError('a test', serverError('55000')), 'transient'],
  ['the same code of a statement', serverError('55000'), 'terminal'],
  ['a connection that was refused by a standby', serverError('08006', ROUTINE), 'transient'],
  ['a value that is out of range', serverError('22003', ROUTINE), 'data'],
  ['a check', serverError('23514', ROUTINE), 'data'],
  ['a trigger that raises an exception', serverError('P0001', ROUTINE), 'data'],
  ['a full disk', serverError('53100', ROUTINE), 'disk-full'],
  ['a deadlock', serverError('40P01', ROUTINE), 'transient'],
  ['a column that is not there', serverError('42703', ROUTINE), 'terminal'],
  ['a socket that was closed', Object.assign(new Error('closed'), { code: 'ECONNRESET' }), 'transient'],
  ['a connection lost under a statement', new ConnectionLostError('a COPY', new Error('gone')), 'transient'],
  ['an error of our own', new Error('a defect'), 'terminal'],
];

for (const [what, error, expected] of CASES) {
  test(`${what} is ${expected}`, () => {
    assert.equal(classifyDatabaseError(error), expected);
  });
}
