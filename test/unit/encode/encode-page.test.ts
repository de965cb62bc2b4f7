import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { encodePage, quoteEvent, setAsideEvent } from '../../../src/encode/encode-page.ts';
import { bytesOf, encodeText, readRows, rowsOf, TEXT_COLUMNS, UUID_COLUMNS } from './rows/copy-stream-reader.ts';

const UUID = 'af5c33c8-8aac-4aa0-9448-b07b52ddaf9f';

function timesOf(timestamps: readonly string[]): ReturnType<typeof encodeText>['times'] {
  return encodeText(`{"data":[${timestamps.map((time, index) => `{"id":"${index}","timestamp":${time}}`).join(',')}]}`)
    .times;
}

describe('encodePage', () => {
  it('counts what was served as rows and rejected events, and nothing else', () => {
    const page = encodeText('{"data":[{"id":"a"},null,{"id":"b","name":"\\u0000","timestamp":"x"},{},{"id":"c"}]}');
    assert.equal(page.servedCount, 5);
    assert.equal(page.rowCount, 3);
    assert.equal(page.rejectedCount, 2);
    assert.equal(page.repairedCount, 1);
    assert.deepEqual(
      page.anomalies.map(({ position, kind, eventId }) => ({ position, kind, eventId })),
      [
        { position: 1, kind: 'rejected', eventId: null },
        { position: 2, kind: 'repaired', eventId: 'b' },
        { position: 2, kind: 'repaired', eventId: 'b' },
        { position: 3, kind: 'rejected', eventId: null },
      ],
    );
  });

  it('makes a stream without rows of an empty page', () => {
    const page = encodeText('{"data":[],"hasMore":false}');
    assert.equal(page.rowCount, 0);
    assert.equal(page.rowsBytes, 21);
    assert.equal(page.times, null);
    assert.equal(page.places.firstDigest, null);
    assert.equal(page.places.lastDigest, null);
  });

  it('counts source_order by the position in the page, rejected events included, across 32 bits', () => {
    const options = { ...TEXT_COLUMNS, firstSourceOrder: 2n ** 32n * 7n - 1n };
    const page = encodeText('{"data":[{"id":"a"},null,{"id":"b"}]}', options);
    assert.deepEqual(
      readRows(page, options).map((row) => row.source_order),
      [2n ** 32n * 7n - 1n, 2n ** 32n * 7n + 1n],
    );
  });

  it('gives the same rows whatever the page around them, so a rejected event stays rejected', () => {
    const events = [
      '{"id":"a","x":1}',
      '{"x":2}',
      `{"id":"${'é'.repeat(2000)}"}`,
      '{"id":"b","session":{"id":1}}',
      '[]',
    ];
    const together = rowsOf(events).map(({ id, extra }) => ({ id, extra }));
    const apart = events.flatMap((event) => rowsOf([event]).map(({ id, extra }) => ({ id, extra })));
    assert.deepEqual(together, apart);
  });

  it('is the same for every order of keys, and for keys in another order in every event', () => {
    const members = [
      '"id":"a"',
      '"sessionId":"s"',
      '"type":"t"',
      '"timestamp":1769541612369',
      '"name":"n"',
      '"other":1',
      '"properties":{}',
    ];
    const shuffled = members.map((_, by) => `{${[...members.slice(by), ...members.slice(0, by)].join(' , ')}}`);
    const rows = rowsOf(shuffled).map((row) => ({ ...row, source_order: null }));
    assert.equal(rows.length, members.length);
    for (const row of rows) assert.deepEqual(row, rows[0]);
  });

  it('reads a page with white space wherever JSON allows it', () => {
    const space = ' \t\r\n ';
    const text = `{"data":[{"id":"${UUID}","session":{"id":"x","os":{"a":[1,{}]}},"timestamp":1769541612369}],"hasMore":true}`;
    const spaced = text.replaceAll(/("(?:[^"\\]|\\.)*"|[{}[\],:]|\d+|true)/g, `${space}$1${space}`);
    const [row] = readRows(encodeText(spaced, UUID_COLUMNS), UUID_COLUMNS);
    const [plain] = readRows(encodeText(text, UUID_COLUMNS), UUID_COLUMNS);
    assert.deepEqual({ ...row, extra: row?.extra?.replaceAll(/\s/g, '') }, plain);
  });

  it('tells the times of a page, those of rejected events too', () => {
    assert.deepEqual(timesOf(['3000', '"x"', '2000.000001', '2000.000001']), {
      newestMs: 3_000_000,
      oldestMs: 2_000_000.001,
      lastMs: 2_000_000.001,
      tailNewestMs: 3_000_000,
      descending: true,
    });
    assert.deepEqual(timesOf(['2000', '3000', '2500']), {
      newestMs: 3_000_000,
      oldestMs: 2_000_000,
      lastMs: 2_500_000,
      tailNewestMs: 3_000_000,
      descending: false,
    });
    assert.equal(encodeText('{"data":[{"timestamp":5}]}').times?.lastMs, 5000);
    assert.equal(timesOf(['9000', '8000', '7000', '6000', '5000', '1000'])?.tailNewestMs, 7_000_000);
    assert.equal(timesOf(['"x"']), null);
  });

  it('gives the time of each event, and keys of those at its end: of the id, or of the bytes where there is none', () => {
    const at = (timestamp: number, rest: string): string => `{"timestamp":${timestamp},${rest}}`;
    const events = [at(9000, '"id":"a"'), 'null', at(5000, '"id":"b"'), at(5000, '"id":"\\u0061"'), at(5000, '"x":1')];
    const { places } = encodeText(`{"data":[${events.join(',')}]}`);
    assert.deepEqual([...places.timesMs], [9_000_000, Number.NaN, 5_000_000, 5_000_000, 5_000_000]);
    const keyOf = (event: string): string | undefined => encodeText(`{"data":[${event}]}`).places.edgeKeys[0];
    const [b, a, none] = places.edgeKeys;
    assert.deepEqual([b, a], [keyOf(at(1, '"id":"b"')), keyOf(at(2, '"id":"a","x":2'))]);
    assert.equal(none, keyOf(at(5000, '"x":1')));
    assert.notEqual(none, keyOf(at(5001, '"x":1')));
  });

  it('tells ids apart that share their first 211 characters', () => {
    const keys = ['a', 'b'].map((end) => encodeText(`{"data":[{"timestamp":5,"id":"${'x'.repeat(211)}${end}"}]}`));
    assert.notEqual(keys[0]?.places.edgeKeys[0], keys[1]?.places.edgeKeys[0]);
    assert.notEqual(keys[0]?.places.firstDigest, keys[1]?.places.firstDigest);
  });

  it('cuts an id for people at a border between characters', () => {
    const emoji = '😀'.repeat(3000);
    const escaped = '\\ud83d\\ude00'.repeat(3000);
    for (const id of [emoji, escaped]) {
      const { anomalies } = encodeText(`{"data":[{"id":"${id}"}]}`);
      assert.equal(anomalies[0]?.eventId, '😀'.repeat(200));
    }
    assert.equal(encodeText('{"data":[{"id":"a\\u0000b"}]}').anomalies[0]?.eventId, 'a\ufffdb');
  });

  it('counts strings and UUIDs in their usual spelling among the ids of the first 100 events', () => {
    const events = Array.from(
      { length: 120 },
      (_, index) => `{"id":"${index < 60 ? UUID : 'x'}","sessionId":${index},"userId":"{${UUID}}"}`,
    );
    assert.deepEqual(encodeText(`{"data":[${events.join()}]}`).idSample, {
      id: { strings: 100, uuids: 60 },
      sessionId: { strings: 0, uuids: 0 },
      userId: { strings: 100, uuids: 0 },
    });
  });

  it('starts again when a second array takes the place of the first', () => {
    const page = encodeText('{"events":["x",null],"data":[{"id":"a"}]}');
    assert.deepEqual(
      readRows(page, TEXT_COLUMNS).map(({ id }) => id),
      ['a'],
    );
    assert.equal(page.rejectedCount, 0);
    assert.equal(page.places.timesMs.length, 1);
  });

  it('grows with rows that are longer than their page', () => {
    const events = Array.from({ length: 2000 }, (_, index) => `{"id":${index},"eventId":"e","userId":${index}}`);
    const page = encodeText(`{"data":[${events.join()}]}`);
    assert.ok(page.rowsBytes > events.join().length);
    assert.equal(readRows(page, TEXT_COLUMNS)[1999]?.extra, '{"id":1999,"eventId":"e","userId":1999}');
  });

  it('reads a body that is part of a larger buffer', () => {
    const text = '{"data":[{"id":"a","name":"n"}]}';
    const whole = bytesOf(`xx${text}"}]}`);
    const page = encodePage(whole.subarray(2, 2 + text.length), TEXT_COLUMNS);
    assert.ok(!('fault' in page));
    assert.equal(readRows(page, TEXT_COLUMNS)[0]?.name, 'n');
  });
});

describe('quoteEvent', () => {
  it('gives the exact bytes and the id of an event that begins where its page says', () => {
    const text = '{"data":[ {"id":"a"}, null ,{"id" : "b","x":1.10}]}';
    const quoted = Array.from(encodeText(text).starts, (start) => quoteEvent(bytesOf(text), start));
    assert.deepEqual(
      quoted.map(({ eventId, original }) => [eventId, Buffer.from(original).toString()]),
      [
        ['a', '{"id":"a"}'],
        [null, 'null'],
        ['b', '{"id" : "b","x":1.10}'],
      ],
    );
  });
});

describe('setAsideEvent', () => {
  it('rejects the only event of a page without a row, and nothing when there are more, or none', () => {
    const event = '{"id":"e", "name":"\\u0000"}';
    const page = setAsideEvent(bytesOf(`{"hasMore":true,"nextCursor":"c","data":[ ${event} ]}`));
    assert.ok(page !== null && !('fault' in page));
    assert.deepEqual(readRows(page, TEXT_COLUMNS), []);
    assert.deepEqual([page.servedCount, page.rejectedCount, page.rowCount], [1, 1, 0]);
    assert.deepEqual([page.envelope.hasMore, page.envelope.nextCursor], [true, 'c']);
    assert.deepEqual(
      page.anomalies.map(({ eventId, reason, original }) => [eventId, reason, Buffer.from(original).toString()]),
      [['e', 'worker-died', event]],
    );
    assert.equal(setAsideEvent(bytesOf(`{"data":[${event},${event}]}`)), null);
    assert.equal(setAsideEvent(bytesOf('{"data":[]}')), null);
    assert.ok('fault' in (setAsideEvent(bytesOf('{"data":[')) ?? {}));
  });
});
