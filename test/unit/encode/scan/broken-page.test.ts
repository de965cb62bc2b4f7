import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ReadingHints } from '../../../../src/core/encoded-page.ts';
import { encodePage, quoteEvent, type PageEncoding } from '../../../../src/encode/encode-page.ts';
import type { PageFault } from '../../../../src/encode/scan/scanned-page.ts';
import { bytesOf, readRows, TEXT_COLUMNS } from '../rows/copy-stream-reader.ts';

const HINTS: ReadingHints = {
  limit: 3,
  countsReturned: true,
  mindsLimit: null,
  brokenEvents: [],
  beginsKnown: false,
  isFixed: false,
  leftOutAt: null,
};
const A = '{"id":"a","name":"first"}';
const C = '{"id":"c","name":"last"}';

function pageOf(events: readonly (string | Buffer)[], returned = events.length): Uint8Array<ArrayBuffer> {
  const texts = events.flatMap((event, at) => [Buffer.from(at === 0 ? '' : ','), Buffer.from(event as string)]);
  const tail = `],"pagination":{"hasMore":true,"nextCursor":"next"},"meta":{"returned":${returned}}}`;
  return bytesOf(Buffer.concat([Buffer.from('{"data":['), ...texts, Buffer.from(tail)]));
}

function encode(body: Uint8Array, hints: Partial<ReadingHints> = {}): PageEncoding | PageFault {
  return encodePage(body, { ...TEXT_COLUMNS, hints: { ...HINTS, ...hints } });
}

function encoded(body: Uint8Array, hints: Partial<ReadingHints> = {}): PageEncoding {
  const page = encode(body, hints);
  if ('fault' in page) assert.fail(`${page.fault}: ${page.detail} ${JSON.stringify(page.unclear)}`);
  return page;
}

function unclear(body: Uint8Array, hints: Partial<ReadingHints> = {}): { goodBefore: number; alone: string | null } {
  const page = encode(body, hints);
  assert.ok('fault' in page && page.unclear !== undefined);
  const { goodBefore, alone } = page.unclear;
  return { goodBefore, alone: alone === null ? null : Buffer.from(alone).toString('latin1') };
}

const idsOf = (page: PageEncoding): (string | null)[] => readRows(page, TEXT_COLUMNS).map(({ id }) => id);
const anomaliesOf = (page: PageEncoding): string[] =>
  page.anomalies.map(
    ({ position, kind, field, reason, original }) =>
      `${position} ${kind} ${field} ${reason} ${Buffer.from(original).toString('latin1')}`,
  );

describe('a page with a broken event', () => {
  it('is unclear where the event closes the list and speaks for the page, and clear where it is alone', () => {
    const event = '{"id":"b","name":"x"}],"pagination":{"hasMore":false,"nextCursor":null},"z":[{"y":""}';
    assert.equal(unclear(pageOf([A, event, C])).alone, null);
    assert.equal(unclear(pageOf([event]), { limit: 1 }).alone, event);
  });

  it('is set aside where it lost its end, and reads on into what follows the list', () => {
    const event = '{"id":"b","items":[{"id":"x"}';
    const page = encoded(pageOf([A, C, event]));
    assert.deepEqual(idsOf(page), ['a', 'c']);
    assert.deepEqual(anomaliesOf(page), [`2 rejected event not-json ${event}`]);
  });

  const rejected: [string, string | Buffer, string][] = [
    ['NaN', '{"id":"b","n":NaN}', 'not-json'],
    ['a comma too many in an object', '{"id":"b","n":1,}', 'not-json'],
    ['a quote too few', '{"id":"b","name":"x,"n":1}', 'not-json'],
    ['a brace too few', '{"id":"b","x":{"y":1}', 'not-json'],
    ['a quote too few at its end', '{"id":"b","name":"x}', 'not-json'],
    ['a key without quotes', '{"id":"b",oops:1}', 'not-json'],
    ['no UTF-8 in a string', Buffer.from('{"id":"b","name":"\xff\xc3"}', 'latin1'), 'not-utf-8'],
    ['no UTF-8 anywhere', Buffer.from('{"id":"b",\xff"name":1}', 'latin1'), 'not-json'],
  ];
  for (const [what, event, reason] of rejected) {
    it(`loses that event alone: ${what}`, () => {
      const text = Buffer.isBuffer(event) ? event.toString('latin1') : event;
      for (const [at, events] of [
        [A, event, C],
        [event, A, C],
        [A, C, event],
      ].entries()) {
        const page = encoded(pageOf(events));
        assert.deepEqual(idsOf(page), ['a', 'c']);
        assert.deepEqual(anomaliesOf(page), [`${[1, 0, 2][at] ?? 0} rejected event ${reason} ${text}`]);
        assert.equal(page.servedCount, 3);
        assert.equal(page.places.timesMs.length, 3);
        assert.equal(page.envelope.nextCursor, 'next');
        assert.notEqual(page.mended?.digest, null);
      }
    });
  }

  it('counts by the limit where the page does not say how many events it has and more follow', () => {
    const body = bytesOf(`{"data":[${A},{"id":"b",},${C}],"hasMore":true,"nextCursor":"x"}`);
    assert.deepEqual(idsOf(encoded(body)), ['a', 'c']);
    assert.deepEqual(unclear(body, { limit: 4 }), { goodBefore: 1, alone: null });
    const last = bytesOf(`{"data":[${A},{"id":"b",},${C}],"hasMore":false}`);
    assert.deepEqual(unclear(last), { goodBefore: 1, alone: null });
  });

  it('repairs control characters in strings, and tells it', () => {
    const event = '{"id":"b","name":"x\ty","properties":{"k\n":"\x01\0"},"more":"\r"}';
    const page = encoded(pageOf([A, event, C]));
    const [, row] = readRows(page, TEXT_COLUMNS);
    assert.equal(row?.name, 'x\ty');
    assert.equal(row.properties, '{"k\\n":"\\u0001\ufffd"}');
    assert.equal(row.extra, '{"more":"\\r"}');
    assert.deepEqual(anomaliesOf(page), [
      `1 repaired properties unstorable-characters-replaced ${event}`,
      `1 repaired event raw-control-characters ${event}`,
    ]);
    assert.equal(page.repairedCount, 1);
  });

  it('holds strings that grow: every character of an event is a NUL', () => {
    const text = '\0'.repeat(5_000);
    const page = encoded(pageOf([A, `{"id":"b","name":"${text}","type":5,"properties":"${text}","x":"${text}"}`, C]));
    const [, row] = readRows(page, TEXT_COLUMNS);
    assert.equal(row?.name, '\ufffd'.repeat(5_000));
    assert.equal(row.properties, `"${'\ufffd'.repeat(5_000)}"`);
  });

  it('takes a comma too many between two events for itself', () => {
    for (const [text, original] of [
      [`${A},,${C}`, `${A},`],
      [`${A} , , ,\n${C}`, `${A} , ,`],
    ] as const) {
      const page = encoded(bytesOf(`{"data":[${text}],"hasMore":true,"returned":2}`));
      assert.deepEqual(idsOf(page), ['a', 'c']);
      assert.deepEqual(anomaliesOf(page), [`0 repaired event comma-too-many ${original}`]);
    }
    const atEnd = encoded(bytesOf(`{"data":[${A},${C},],"hasMore":false}`));
    assert.deepEqual(anomaliesOf(atEnd), [`1 repaired event comma-too-many ${C},`]);
  });

  it('finds several broken events, and those between them', () => {
    const page = encoded(pageOf(['{"id":}', A, '{"id":"x" "y"}', C, '{"id":NaN}']));
    assert.deepEqual(idsOf(page), ['a', 'c']);
    assert.deepEqual(
      page.anomalies.map(({ position }) => position),
      [0, 2, 4],
    );
  });

  it('quotes events that PostgreSQL refuses by their places', () => {
    const body = pageOf([A, '{"id":}', C]);
    const { eventId, original } = quoteEvent(body, encoded(body).starts[2] ?? 0);
    assert.deepEqual([eventId, Buffer.from(original).toString()], ['c', C]);
  });
});

describe('a page that can be read in two ways', () => {
  const two: [string, string][] = [
    ['a quote too many ends a string that looks like a border', '{"id":"b","name":"x"},{\\"id\\":\\"evil\\"}"}'],
    ['a brace too many ends an event early', '{"id":"b","p":{"x":1}},"type":"t"}'],
    ['the end of a list of objects is lost', '{"id":"b","items":[{"id":"i1"},{"id":"i2"}'],
    ['a bracket too many ends the list of events early', '{"id":"b"}],"name":"x"}'],
  ];
  for (const [what, event] of two) {
    it(`gives no row: ${what}`, () => {
      assert.deepEqual(unclear(pageOf([A, event, C])), { goodBefore: 1, alone: null });
    });

    it(`is clear when the event is known: ${what}`, () => {
      assert.deepEqual(unclear(pageOf([event]), { limit: 1 }), { goodBefore: 0, alone: event });
      const page = encoded(pageOf([A, event, C]), { brokenEvents: [Buffer.from(event)] });
      assert.deepEqual(idsOf(page), ['a', 'c']);
      assert.deepEqual(anomaliesOf(page), [`1 rejected event not-json ${event}`]);
      assert.equal(page.mended?.digest, null);
    });
  }

  it('is not taken for the one behind it where the page begins with it again', () => {
    const [one, next] = two.map(([, event]) => event);
    assert.ok(one !== undefined && next !== undefined);
    const body = pageOf([one, next]);
    assert.equal(unclear(body, { limit: 2, beginsKnown: 'broken' }).alone, null);
    const brokenEvents = [Buffer.from(one)];
    assert.equal(unclear(body, { limit: 2, beginsKnown: 'broken', brokenEvents }).alone, next);
  });

  it('gives no row where one event looks like two, and two look like one', () => {
    const likeTwo = '{"id":"b","name":"x"},{}","type":"t"}';
    const withoutBorder = '{\\"id":"d","name":"y"}';
    assert.equal(unclear(pageOf([A, likeTwo, withoutBorder, C], 4), { limit: 4 }).alone, null);
  });

  it('gives no row of a list inside of an event whose end is gone, with that of the page', () => {
    const event = '{"id":"c","items":[{"id":"x"},{"id":"y"}]}';
    const body = bytesOf(`{"pagination":{"hasMore":true,"nextCursor":"n"},"meta":{"returned":3},"data":[${A},${event}`);
    assert.equal(unclear(body).alone, null);
    const alone = bytesOf(`{"pagination":{"hasMore":true,"nextCursor":"n"},"meta":{"returned":1},"data":[${event}`);
    assert.equal(unclear(alone, { limit: 1 }).alone, event.slice(0, -2));
  });

  it('is no event alone where the API does not mind the limit', () => {
    const all = [A, '{"id":"b","items":[{"id":"i1"},{"id":"i2"}', C].join(',');
    const body = bytesOf(`{"data":[${all}],"hasMore":false}`);
    assert.equal(unclear(body, { limit: 1 }).alone, null);
    const more = bytesOf(`{"data":[${all}],"hasMore":true,"nextCursor":"x"}`);
    assert.equal(unclear(more, { limit: 1 }).alone, all);
    const page = encode(more, { limit: 12, brokenEvents: [Buffer.from(all)] });
    assert.ok('fault' in page);
    assert.equal(page.unclear, undefined);
  });
});

describe('a page without a count that cannot be asked for in smaller parts', () => {
  const last = (...events: string[]): Uint8Array<ArrayBuffer> =>
    bytesOf(`{"data":[${events.join(',')}],"hasMore":false}`);
  const NAN = '{"id":"b","p":{"x":NaN},"name":"x"}';

  for (const [where, events] of [
    ['between others', [A, NAN, C]],
    ['at its end', [A, C, NAN]],
    ['at its beginning', [NAN, A, C]],
    ['twice', [A, NAN, NAN, C]],
    ['alone', [NAN]],
  ] as const) {
    it(`has a broken event that is whole by its quotes and brackets: ${where}`, () => {
      const page = encoded(last(...events), { limit: 50, isFixed: true });
      assert.deepEqual(
        idsOf(page),
        events.flatMap((event) => (event === A ? ['a'] : event === C ? ['c'] : [])),
      );
      assert.ok(page.anomalies.every(({ original }) => Buffer.from(original).toString() === NAN));
      assert.notEqual(page.mended?.digest, null);
      assert.ok('fault' in encode(last(...events), { limit: 50 }));
    });
  }

  for (const [what, event] of [
    ['a quote too many', '{"id":"b","name":"x"},{\\"id\\":\\"evil\\"}"}'],
    ['a quote too many, and no backslashes', '{"id":"b","name":"x"},{"id":NaN,"n":{}}","type":"t"}'],
    ['a quote lost', '{"id":"b","name":"x,"type":"t"}'],
    ['a brace too many', '{"id":"b","p":{"x":1}},"type":"t"}'],
    ['a border too many', '{"id":"b",},{"name":"x","type":"t"}'],
    ['a border too many, and more', '{"id":"b"},{"name":NaN,"type":"t"}'],
    ['the begin of a list lost', '{"id":"b"},{"id":"i2","n":NaN}],"type":"t"}'],
    ['the end of a list lost', '{"id":"b","items":[{"id":"i1"},{"id":"i2"}'],
    ['a bracket too many', '{"id":"b"}],"name":"x"}'],
    ['an end lost', '{"id":"b","n":1'],
  ] as const) {
    it(`gives no row: ${what}`, () => {
      for (const events of [
        [A, event, C],
        [A, C, event],
        [event, A],
        [A, NAN, event, C],
      ])
        assert.ok('fault' in encode(last(...events), { limit: 50, isFixed: true }), events.join(','));
    });
  }
});

describe('a page that is broken around its events', () => {
  for (const [what, body, fault] of [
    ['cut', `{"data":[${A},${C}`, 'cut-body'],
    ['cut behind a broken event', `{"data":[${A},{"id":},${C}`, 'cut-body'],
    ['a broken tail', `{"data":[${A}],"hasMore":tru}`, 'not-json'],
  ] as const) {
    it(`is none: ${what}`, () => {
      const page = encode(bytesOf(body));
      assert.ok('fault' in page);
      assert.equal(page.unclear, undefined);
      if (what !== 'cut behind a broken event') assert.equal(page.fault, fault);
    });
  }
});
