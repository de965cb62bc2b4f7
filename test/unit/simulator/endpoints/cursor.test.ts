import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { issueCursor, openCursor } from '../../../../src/simulator/endpoints/cursor.ts';
import { parseSettings } from '../../../../src/simulator/settings.ts';

test('a cursor opens as what it was issued for, in every alphabet and padding, to the microsecond', () => {
  fc.assert(
    fc.property(
      fc.string({ maxLength: 40 }),
      fc.integer({ min: -4_102_444_800_000_000, max: 4_102_444_800_000_000 }),
      fc.constantFrom('standard', 'url-safe'),
      fc.boolean(),
      (id, micros, cursorAlphabet, cursorPadding) => {
        const settings = parseSettings({ cursorAlphabet, cursorPadding, cursorTtl: 116 });
        const opened = openCursor(issueCursor(settings, { id, micros }, 1_000));
        assert.deepEqual(opened, { id, micros, expiresAtMs: 117_000 });
      },
    ),
  );
});

test('what is no cursor is malformed, never an exception', () => {
  for (const text of [
    '',
    ' ',
    '%%%',
    'e30=',
    Buffer.from('[]').toString('base64'),
    Buffer.from('{"id":1,"ts":1,"exp":1}').toString('base64'),
  ]) {
    assert.equal(openCursor(text), null, text);
  }
});
