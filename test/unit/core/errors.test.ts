import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as errors from '../../../src/core/errors.ts';

const { ConfigurationError, JobError, describeError, exitCodeOf } = errors;

void test('a full stop of somebody else does not stand before our own', () => {
  const cause = Object.assign(new Error('no route to host.'), { code: 'EHOSTUNREACH' });
  assert.equal(
    describeError(new Error('lost the connection.', { cause })),
    'lost the connection: no route to host (EHOSTUNREACH)',
  );
});

void test('a message of ours is shown as it is', () => {
  assert.equal(describeError(new ConfigurationError('Set TARGET_API_KEY.')), 'Set TARGET_API_KEY. (CONFIGURATION)');
});

/** Exit code, and what mends it. */
const KINDS: Readonly<Record<string, readonly [number, errors.MendedBy]>> = {
  ConfigurationError: [2, 'person'],
  UnreachableError: [2, 'time'],
  NotInOrderError: [2, 'person'],
  KeyRefusedError: [3, 'person'],
  GaveUpError: [4, 'time'],
  StuckError: [4, 'person'],
  CountsDisagreeError: [5, 'proof'],
  RejectedTooManyError: [5, 'proof'],
  TargetBusyError: [6, 'person'],
  UnfinishedError: [7, 'person'],
  StagedTypesError: [2, 'person'],
  WorkerDiedError: [1, 'person'],
  StagingLostError: [4, 'time'],
};

void test('every kind of error has its exit code, and says what mends it', () => {
  const kinds = Object.entries(errors).flatMap(([name, kind]) => {
    if (typeof kind !== 'function' || !(kind.prototype instanceof JobError)) return [];
    const error: unknown = Reflect.construct(kind, ['why']);
    assert.ok(error instanceof JobError);
    return [[name, [exitCodeOf(error), error.mendedBy]] as const];
  });
  assert.deepEqual(Object.fromEntries(kinds), KINDS);
});
