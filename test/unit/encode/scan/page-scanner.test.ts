import type { PageEnvelope } from '../../../../src/core/encoded-page.ts';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import type { EventSlices } from '../../../../src/encode/scan/event-slices.ts';
import { scanPage } from '../../../../src/encode/scan/page-scanner.ts';
import type { PageFault, ScannedPage } from '../../../../src/encode/scan/scanned-page.ts';
import { bytesOf } from '../rows/copy-stream-reader.ts';

const EMPTY_ENVELOPE: PageEnvelope = {
  hasMore: null,
  nextCursor: null,
  total: null,
  returned: null,
  cursorLifeMs: null,
  saysNoCursor: false,
  speaksOfError: false,
};

/** Scans and gives back the exact text of every event. */
function scan(body: string | Uint8Array): { page: Omit<ScannedPage, 'list'> | PageFault; events: string[] } {
  const bytes = bytesOf(body);
  let events: string[] = [];
  const page = scanPage(bytes, {
    event(slices: EventSlices, position: number) {
      assert.equal(position, events.length);
      events.push(Buffer.from(bytes.subarray(slices.start, slices.end)).toString('utf8'));
    },
    broken(start: number, end: number) {
      events.push(Buffer.from(bytes.subarray(start, end)).toString('latin1'));
    },
    restart() {
      events = [];
    },
  });
  if ('fault' in page) return { page, events };
  const { envelope, servedCount, mended } = page;
  return { page: { envelope, servedCount, mended }, events };
}

function faultOf(body: string | Uint8Array): string {
  const { page } = scan(body);
  return 'fault' in page ? page.fault : 'none';
}

function acceptsAsJson(text: string): boolean {
  const { page } = scan(text);
  return !('fault' in page) || page.fault === 'no-events' || page.fault === 'error-object';
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe('scanPage', () => {
  it('gives each event as the exact text it was served in, in order', () => {
    const { page, events } = scan(
      '\n{ "data" : [ {"id": 1.10} , null,"x\\u0041", [1,[2]] ,-0.0e+1 ] , "hasMore" : true }\r\n',
    );
    assert.deepEqual(events, ['{"id": 1.10}', 'null', '"x\\u0041"', '[1,[2]]', '-0.0e+1']);
    assert.deepEqual(page, { envelope: { ...EMPTY_ENVELOPE, hasMore: true }, servedCount: 5, mended: null });
  });

  const envelopes: [string, string, Partial<PageEnvelope>][] = [
    [
      'the live shape',
      '{"data":[],"pagination":{"hasMore":true,"nextCursor":"c","cursorExpiresIn":116},"meta":{"total":3}}',
      { hasMore: true, nextCursor: 'c', total: 3, cursorLifeMs: 116_000 },
    ],
    ['the documented shape', '{"data":[],"hasMore":true,"nextCursor":"c"}', { hasMore: true, nextCursor: 'c' }],
    [
      'the envelope first',
      '{"pagination":{"hasMore":false,"nextCursor":null},"data":[]}',
      { hasMore: false, saysNoCursor: true },
    ],
    ['snake case', '{"events":[],"has_more":true,"next_cursor":"c"}', { hasMore: true, nextCursor: 'c' }],
    ['a flag as text', '{"data":[],"hasMore":"false"}', { hasMore: false }],
    ['a flag as a number', '{"data":[],"pagination":{"has_more":1}}', { hasMore: true }],
    ['an empty cursor', '{"data":[],"nextCursor":""}', { saysNoCursor: true }],
    ['no cursor, in snake case', '{"data":[],"next_cursor":null}', { saysNoCursor: true }],
    [
      'a cursor of more digits than a double has',
      '{"data":[],"nextCursor":1769541612368995050}',
      { nextCursor: '1769541612368995050' },
    ],
    ['its own length', '{"data":[],"meta":{"returned":3}}', { returned: 3 }],
    ['words of a failure', '{"data":[],"success":false}', { speaksOfError: true }],
    [
      'a status of a failure',
      '{"data":[],"hasMore":false,"statusCode":"503"}',
      { hasMore: false, speaksOfError: true },
    ],
    ['a code of its own', '{"data":[],"code":"UPSTREAM_TIMEOUT","message":"timed out"}', { speaksOfError: true }],
    ['a flag as a word', '{"data":[],"hasMore":"Y"}', { hasMore: true }],
    ['a flag as another word', '{"data":[],"hasMore":"no"}', { hasMore: false }],
    ['a number beside its own word that all is well', '{"data":[],"code":1,"ok":true}', {}],
    ['a status of a failure beside such a word', '{"data":[],"code":503,"ok":true}', { speaksOfError: true }],
    ['a text beside such a word', '{"data":[],"code":"PARTIAL","ok":true}', { speaksOfError: true }],
    ['a number alone', '{"data":[],"code":1}', { speaksOfError: true }],
    ['words of a part', '{"data":[],"partial":true}', { speaksOfError: true }],
    ['words that all is well', '{"data":[],"code":0,"status":"ok","success":true,"message":"ok"}', {}],
    ['an escaped cursor and key', '{"data":[],"next\\u0043ursor":"a\\/b\\u003d"}', { nextCursor: 'a/b=' }],
    ['doubled keys', '{"data":[],"hasMore":true,"hasMore":false}', { hasMore: false }],
    ['a total as text', '{"data":[],"meta":{"total":"12"}}', { total: 12 }],
    ['nonsense', '{"data":[],"hasMore":[],"nextCursor":{},"meta":{"total":-1.5}}', {}],
    ['nothing', '{"data":[]}', {}],
  ];
  for (const [name, body, envelope] of envelopes) {
    it(`reads the envelope: ${name}`, () => {
      assert.deepEqual(scan(body).page, { envelope: { ...EMPTY_ENVELOPE, ...envelope }, servedCount: 0, mended: null });
    });
  }

  it('is not misled by fields of an event that look like the envelope', () => {
    const { page } = scan(
      '{"pagination":{"hasMore":true,"nextCursor":"c"},"data":[{"hasMore":false,"nextCursor":"x","pagination":{"hasMore":false}}]}',
    );
    assert.deepEqual(page, {
      envelope: { ...EMPTY_ENVELOPE, hasMore: true, nextCursor: 'c' },
      servedCount: 1,
      mended: null,
    });
  });

  it('takes the events from data rather than from events, whichever comes first', () => {
    assert.deepEqual(scan('{"events":[1],"data":[2]}').events, ['2']);
    assert.deepEqual(scan('{"data":[2],"events":[1]}').events, ['2']);
    assert.deepEqual(scan('{"data":null,"events":[1]}').events, ['1']);
  });

  it('loses no list to an empty one', () => {
    assert.deepEqual(scan('{"data":[],"events":[1]}').events, ['1']);
    assert.deepEqual(scan('{"events":[1],"data":[ ]}').events, ['1']);
  });

  it('refuses a page whose list comes twice', () => {
    assert.equal(faultOf('{"data":[1,1],"data":[2]}'), 'not-json');
    assert.equal(faultOf('{"data":[1],"data":[]}'), 'not-json');
    assert.equal(faultOf('{"data":[1],"data":null}'), 'not-json');
    assert.deepEqual(scan('{"data":[],"data":[2]}').events, ['2']);
  });

  it('refuses two lists of events, under whatever keys, unless they are the same', () => {
    for (const [one, other] of [
      ['events', 'data'],
      ['data', 'events'],
    ]) {
      assert.equal(faultOf(`{"${one}":[{"id":1}],"${other}":[{"id":2}]}`), 'not-json');
      assert.equal(faultOf(`{"data":{"${one}":[{"id":1}],"${other}":[{"id":2}]}}`), 'not-json');
      assert.deepEqual(scan(`{"${one}":[{"id":1}],"${other}":[{"id":1}]}`).events, ['{"id":1}']);
    }
  });

  const faults: [string, string | Uint8Array, string][] = [
    ['an empty body', '', 'cut-body'],
    ['only white space', ' \n', 'cut-body'],
    ['an HTML page', '<!DOCTYPE html><html></html>', 'not-json'],
    ['text after the document', '{"data":[]}x', 'not-json'],
    ['a second document', '{"data":[]}{"data":[]}', 'not-json'],
    ['an array', '[{"id":1}]', 'no-events'],
    ['a text', '"data"', 'no-events'],
    ['an object without events', '{"items":[]}', 'no-events'],
    ['events that are no array', '{"data":{"id":1}}', 'no-events'],
    ['an error object', '{"error":"Too Many Requests","code":"RATE_LIMIT_EXCEEDED"}', 'error-object'],
    [
      'an error object without the key error',
      '{"code":"CURSOR_EXPIRED","message":"Cursor expired 3 minute(s) ago"}',
      'error-object',
    ],
    ['an error beside no events', '{"data":[],"error":{"code":"X"}}', 'error-object'],
    ['no error beside no events', '{"data":[],"error":null,"errors":[],"code":200,"message":"ok"}', 'none'],
    ['an overlong UTF-8 form', Uint8Array.from(Buffer.from('{"data":[],"x":"\xc0\xaf"}', 'latin1')), 'not-json'],
    ['a surrogate in UTF-8', Uint8Array.from(Buffer.from('{"x":"\xed\xa0\x80","data":[1]}', 'latin1')), 'not-json'],
    [
      'a code point above U+10FFFF',
      Uint8Array.from(Buffer.from('{"data":[1],"x":"\xf4\x90\x80\x80"}', 'latin1')),
      'not-json',
    ],
    ['a lone continuation byte', Uint8Array.from(Buffer.from('{"data":[1],"\x80":1}', 'latin1')), 'not-json'],
    ['a byte order mark', '\ufeff{"data":[]}', 'none'],
  ];
  for (const [name, body, fault] of faults) {
    it(`calls ${name} ${fault === 'none' ? 'a page' : fault}`, () => {
      assert.equal(faultOf(body), fault);
    });
  }

  it("passes on the API's own code and words", () => {
    const { page } = scan('{"error":{"code":"E42","message":"no\\nway"}}');
    assert.ok('fault' in page);
    assert.equal(page.apiCode, 'E42');
    assert.match(page.detail, /E42/);
  });

  it('says where the body stops being JSON', () => {
    const { page } = scan('{"data":[{"id":1,}]}');
    assert.ok('fault' in page);
    assert.deepEqual([page.fault, page.detail], ['not-json', "Expected a key at byte 17 of 20, got '}]}'."]);
  });

  it('calls a body that was cut at any byte a cut body', () => {
    const body = bytesOf(
      '{"data":[{"id":"\\u00e9\\ud83d\\ude00ä€😀","n":-1.5e+3,"t":true,"o":{"a":[null,false]}},{"session":{"id":"x"}}],"hasMore":false,"nextCursor":null}',
    );
    assert.equal(faultOf(body), 'none');
    for (let length = 0; length < body.length; length += 1)
      assert.equal(faultOf(body.subarray(0, length)), 'cut-body', `cut at ${length}`);
  });

  it('walks through nesting that no call stack would hold', () => {
    const deep = 1_000_000;
    assert.equal(faultOf(`{"data":[],"x":${'['.repeat(deep)}${']'.repeat(deep)}}`), 'none');
    assert.equal(faultOf(`{"data":[],"x":${'{"a":'.repeat(deep)}1${'}'.repeat(deep)}}`), 'none');
    assert.equal(faultOf(`{"data":[],"x":${'['.repeat(deep)}`), 'cut-body');
  });

  it('accepts what JSON.parse accepts, on arbitrary documents', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), (text) => {
        assert.equal(acceptsAsJson(text), true);
        const { page, events } = scan(`{"data":[${text}]}`);
        assert.ok(!('fault' in page));
        assert.deepEqual(
          events.map((event) => JSON.parse(event) as unknown),
          [JSON.parse(text)],
        );
      }),
    );
  });

  it('accepts and refuses what JSON.parse does, on documents with something wrong in them', () => {
    const piece = fc.constantFrom(
      ...[
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        '"',
        '"a"',
        '"a":',
        '\\',
        '\\u',
        '\\u00',
        '\\ud800',
        '0',
        '01',
        '-',
        '1',
        '.',
        'e',
        'E+',
        '1e5',
      ],
      ...[
        'true',
        'tru',
        'null',
        'false',
        ' ',
        '\t',
        '\n',
        '\u000b',
        '\u0000',
        'é',
        '\u2028',
        '\u00a0',
        "'",
        '/',
        'NaN',
      ],
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const text = pieces.join('');
        assert.equal(acceptsAsJson(text), parses(text), JSON.stringify(text));
      }),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(fc.json(), fc.nat(), piece, (json, at, wrong) => {
        const cut = at % (json.length + 1);
        const text = json.slice(0, cut) + wrong + json.slice(cut + (at % 3));
        const wellFormed = Buffer.from(text).toString();
        assert.equal(acceptsAsJson(wellFormed), parses(wellFormed), JSON.stringify(text));
      }),
      { numRuns: 2000 },
    );
  });
});
