import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigurationError, describeError } from '../../../src/core/errors.ts';

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
