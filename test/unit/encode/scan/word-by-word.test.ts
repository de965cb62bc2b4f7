/** What is compared or copied several bytes at once comes out as if it had been read byte by byte. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { readUsualUuid } from '../../../../src/encode/scan/ids.ts';
import { JsonCursor } from '../../../../src/encode/scan/json-cursor.ts';
import { bytesOf, encodeText, readRows, rowsOf, UUID_COLUMNS } from '../rows/copy-stream-reader.ts';

const UUID = 'af5c33c8-8aac-4aa0-9448-b07b52ddaf9f';
const UUID_TEXT = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

const space = fc.constantFrom('', '', '', ' ', '\n      ', '\t', ' '.repeat(30));
const uuid = fc.constantFrom(UUID, '0b4ef8bb-6d6b-49bd-b80a-11a0eebc999c', UUID.toUpperCase(), `${UUID}0`, '');
const text = fc.string({ unit: 'binary', maxLength: 40 });
const time = fc.constantFrom('2026-01-27T19:20:12.369Z', '2026-01-27T19:20:12Z', 1769541612369, 1769541612, '', null);
const other = fc.constantFrom(true, -1.5, [], {}, [{ a: [1, 'b'] }]);
const value = fc.oneof(text, uuid, time, other).map((content) => JSON.stringify(content));

const keys = [
  'id',
  'sessionId',
  'userId',
  'type',
  'name',
  'properties',
  'timestamp',
  'other',
  'eventId',
  'aKeyTooLongToRemember',
];
const sessionKeys = ['id', 'deviceType', 'browser', 'more'];

/** A key as it is, or with its first letter escaped, and white space wherever it may stand. */
const memberOf = (names: readonly string[], values: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc
    .tuple(fc.constantFrom(...names), fc.nat(9), space, space, space, space, values)
    .map(([name, dice, beforeKey, afterKey, beforeValue, afterValue, json]) => {
      const key = dice === 0 ? `\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}` : name;
      return `${beforeKey}"${key}"${afterKey}:${beforeValue}${json}${afterValue}`;
    });
const session = fc.array(memberOf(sessionKeys, value), { maxLength: 5 }).map((members) => `{${members.join(',')}}`);
const event = fc
  .tuple(fc.array(fc.oneof(memberOf(keys, value), memberOf(['session'], session)), { maxLength: 14 }), uuid)
  .map(([members, id]) => `{${[`"id":"${id}"`, ...members].join(',')}}`);

describe('An event on a page', () => {
  it('becomes the same row whatever events came before it, however those are spelled', () => {
    fc.assert(
      fc.property(fc.array(event, { minLength: 2, maxLength: 8 }), (events) => {
        const together = rowsOf(events, UUID_COLUMNS);
        const alone = events.flatMap((one) => rowsOf([one], UUID_COLUMNS));
        const withoutOrder = (rows: typeof alone) => rows.map((row) => ({ ...row, source_order: null }));
        assert.deepEqual(withoutOrder(together), withoutOrder(alone));
      }),
      { numRuns: 2_000 },
    );
  });

  it('has texts and properties of every length, at every distance from the end of the body', () => {
    for (let length = 0; length <= 200; length += 1) {
      const name = 'é'.repeat(length >> 1) + '~'.repeat(length & 1);
      const events = [
        `{"id":"${UUID}","type":"t","name":"${name}","properties":{"p":"${name}"}}`,
        `{"id":"${UUID}","name":"${name}"}`,
      ];
      for (const rest of ['', ' ', ',"more":1', ',"hasMore":false']) {
        const rows = readRows(encodeText(`{"data":[${events.join(',')}]${rest}}`, UUID_COLUMNS), UUID_COLUMNS);
        assert.deepEqual(
          rows.map((row) => [row.type, row.name, row.properties]),
          [
            ['t', name, `{"p":"${name}"}`],
            [null, name, null],
          ],
        );
      }
    }
  });

  it('keeps the id of its session that differs from sessionId in any one character', () => {
    for (let at = 0; at < UUID.length; at += 1) {
      if (UUID[at] === '-') continue;
      const own = `${UUID.slice(0, at)}${UUID[at] === '0' ? '1' : '0'}${UUID.slice(at + 1)}`;
      const [differs, same] = rowsOf(
        [own, UUID].map((id) => `{"id":"${UUID}","sessionId":"${UUID}","session":{"id":"${id}","browser":"b"}}`),
        UUID_COLUMNS,
      );
      assert.equal(differs?.extra, `{"session":{"id":"${own}"}}`);
      assert.equal(same?.extra, null);
    }
  });
});

describe('readUsualUuid', () => {
  it('takes a lower-case digit and a hyphen in their places, and no other byte', () => {
    for (let at = 0; at < UUID.length; at += 1) {
      for (let byte = 0; byte < 256; byte += 1) {
        const bytes = bytesOf(`${UUID}"   `);
        bytes[at] = byte;
        const spelled = Buffer.from(bytes.subarray(0, UUID.length)).toString('latin1');
        const words = { word0: 0, word1: 0, word2: 0, word3: 0 };
        const isTaken = readUsualUuid(new JsonCursor(bytes), 0, words);
        assert.equal(isTaken, UUID_TEXT.test(spelled), `byte ${byte} at ${at}`);
        if (!isTaken) continue;
        const read = Buffer.alloc(16);
        [words.word0, words.word1, words.word2, words.word3].forEach((word, index) =>
          read.writeInt32LE(word, index * 4),
        );
        assert.equal(read.toString('hex'), spelled.replaceAll('-', ''));
      }
    }
  });
});
