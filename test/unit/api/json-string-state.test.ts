import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { findStringState, readOn } from '../../../src/api/json-string-state.ts';

const text = fc.string({
  unit: fc.constantFrom('"', '\\', '[', ']', '{', '}', ',', ':', '1', 'true', 'a', ' ', '-', '\n'),
});
const json = fc.json({ stringUnit: 'binary', maxDepth: 4 });
const nasty = fc.array(fc.dictionary(text, fc.oneof(text, fc.integer(), fc.constant(null), fc.array(text))), {
  minLength: 1,
  maxLength: 40,
});

function check(whole: string): number {
  const bytes = Buffer.from(whole);
  let told = 0;
  let inside = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === 0x5b || byte === 0x5d) {
      const state = findStringState(bytes, at, 0);
      if (state !== null) {
        told += 1;
        assert.equal(state.inside, inside, `at ${at} of ${whole}`);
      }
    }
    if (inside && byte === 0x5c) at += 1;
    else if (byte === 0x22) inside = !inside;
  }
  return told;
}

test('of any JSON text it says where strings are, or nothing', () => {
  fc.assert(
    fc.property(json, (whole) => void check(whole)),
    { numRuns: 2_000 },
  );
});

test('texts that look like structure mislead nobody', () => {
  let told = 0;
  fc.assert(
    fc.property(nasty, (events) => {
      told += check(JSON.stringify(events));
    }),
    { numRuns: 2_000 },
  );
  assert.ok(told > 10_000, `only ${told} brackets could be told`);
});

test('every JSON text can be read on from its beginning', () => {
  fc.assert(
    fc.property(json, (whole) => {
      const bytes = Buffer.from(whole);
      assert.equal(readOn(bytes, 0, bytes.length, { inside: false, before: 'unknown' })?.inside, false);
    }),
  );
});
