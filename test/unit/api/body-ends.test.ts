import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BodyEnds } from '../../../src/api/body-ends.ts';

const TAIL = 65_536;
const MAX = TAIL + 1_000;

/** The body as it is kept, from chunks of this size. */
function kept(body: Uint8Array, chunkBytes: number): { body: Uint8Array; leftOutAt: number | null } {
  const buffer = new ArrayBuffer(MAX + 50);
  const ends = new BodyEnds(buffer, MAX);
  for (let at = 0; at < body.length; at += chunkBytes) ends.add(body.subarray(at, at + chunkBytes));
  const { bodyBytes, leftOutAt } = ends.finish();
  return { body: new Uint8Array(buffer, 0, bodyBytes), leftOutAt };
}

void test('a body is kept whole where there is room, and without its middle where there is none, whatever its chunks', () => {
  for (const length of [0, 1, 999, 1_000, 1_001, TAIL, MAX - 1, MAX, MAX + 1, MAX + TAIL, 3 * MAX + 7]) {
    const body = Uint8Array.from({ length }, (_, at) => (at * 31 + (at >> 8)) & 0xff);
    for (const chunkBytes of [777, 65_536, 200_000]) {
      const { body: found, leftOutAt } = kept(body, chunkBytes);
      const expected = length <= MAX ? body : Buffer.concat([body.subarray(0, 1_000), body.subarray(length - TAIL)]);
      assert.equal(leftOutAt, length <= MAX ? null : 1_000);
      assert.equal(Buffer.compare(found, expected), 0, `${length} bytes in chunks of ${chunkBytes}`);
    }
  }
});
