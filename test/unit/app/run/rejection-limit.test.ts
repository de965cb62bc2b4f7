import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RejectionLimit } from '../../../../src/app/run/rejection-limit.ts';
import type { FirstPage } from '../../../../src/app/run/first-pages.ts';
import type { Bound } from '../../../../src/core/setting-kinds.ts';
import { exitCodeOf } from '../../../../src/core/errors.ts';
import { NO_COUNTS } from '../../../../src/core/state.ts';
import { NO_PLACES } from '../../../../src/core/state.ts';
import { encodePage } from '../../../../src/encode/encode-page.ts';

const REASONS = [{ field: 'id', reason: 'id-missing', count: 7, original: Buffer.from('{"_id":"x","uuid":1}') }];

interface Given {
  readonly bound?: Bound;
  readonly served: number;
  readonly rejected: number;
  /** As many as rejected, unless given. */
  readonly different?: number;
  readonly openWindows?: readonly number[];
}

function limitOf({ bound, served, rejected, different = rejected, openWindows = [] }: Given): RejectionLimit {
  return new RejectionLimit({
    bound,
    counters: { counts: { ...NO_COUNTS, served, loaded: served - rejected, rejected }, rejected },
    different: () => Promise.resolve(different),
    commonest: () => Promise.resolve(REASONS),
    openWindows: () => openWindows,
  });
}

/** 0 when the run may complete. */
async function codeAtEnd(given: Given): Promise<number> {
  return limitOf(given)
    .checkAtEnd()
    .then(() => 0, exitCodeOf);
}

test('without a setting, more than 5 % and more than 20 are too many, or all of them', async () => {
  assert.equal(await codeAtEnd({ served: 1_000, rejected: 50 }), 0);
  assert.equal(await codeAtEnd({ served: 1_000, rejected: 51 }), 5);
  assert.equal(await codeAtEnd({ served: 30, rejected: 20 }), 0);
  assert.equal(await codeAtEnd({ served: 30, rejected: 21 }), 5);
  assert.equal(await codeAtEnd({ served: 1, rejected: 1 }), 5);
  assert.equal(await codeAtEnd({ served: 0, rejected: 0 }), 0);
  // Served again and again: they are the same 20.
  assert.equal(await codeAtEnd({ served: 90, rejected: 60, different: 20 }), 0);
});

test('a percentage replaces that, and 100 % accepts everything', async () => {
  assert.equal(await codeAtEnd({ bound: { share: 0 }, served: 1_000, rejected: 1 }), 5);
  assert.equal(await codeAtEnd({ bound: { share: 0.5 }, served: 1_000, rejected: 500 }), 0);
  assert.equal(await codeAtEnd({ bound: { share: 0.5 }, served: 1_000, rejected: 501 }), 5);
  assert.equal(await codeAtEnd({ bound: { share: 1 }, served: 1_000, rejected: 1_000 }), 0);
});

test('a number counts different events, with code 4, and judges no share', async () => {
  assert.equal(await codeAtEnd({ bound: { events: 5 }, served: 5, rejected: 5 }), 0);
  assert.equal(await codeAtEnd({ bound: { events: 5 }, served: 1_000, rejected: 6 }), 4);
  assert.equal(await codeAtEnd({ bound: { events: 5 }, served: 1_000, rejected: 9, different: 5 }), 0);
});

test('the error says how many, why, what such an event has, and what accepts it', async () => {
  await assert.rejects(limitOf({ served: 1_001, rejected: 1_000 }).checkAtEnd(), {
    message:
      '1000 of 1001 events were rejected (99.9 %): 7 for id: id-missing (such an event has "_id", "uuid"). What was ' +
      'loaded is safe, and the run is not finished. npm run anomalies shows them. If that is as it should be, start again ' +
      'with --max-rejected 100% (MAX_REJECTED; a lower percentage or a number of events do, too): the run is completed ' +
      'then. If what refused them is mended, npm start -- --new-run takes them again.',
  });
});

/** A page of events without an id, and perhaps one with. */
function pageOf(windowId: number, events: readonly object[]): FirstPage {
  const body = new TextEncoder().encode(JSON.stringify({ data: events }));
  const encoded = encodePage(body, {
    idColumnTypes: { id: 'text', sessionId: 'text', userId: 'text' },
    firstSourceOrder: 0n,
    maxEventBytes: 1_024,
  });
  if ('fault' in encoded) assert.fail(encoded.detail);
  return {
    encoded: { ...encoded, status: 'encoded', body: new ArrayBuffer(), bodyBytes: 0, decodeMs: 0, encodeMs: 0 },
    ledger: {
      windowId,
      page: 1,
      nextCursor: null,
      cursorReceivedAtMs: null,
      cursorFrom: null,
      cursorLimit: null,
      anchorMs: null,
      lastEventMs: null,
      oldestMs: null,
      endsWindow: false,
      isDoubtful: false,
      suspect: false,
      isContinued: false,
      counts: NO_PLACES,
      edge: null,
      pageEndMs: null,
      served: encoded.servedCount,
      loaded: encoded.rowCount,
      rejected: encoded.rejectedCount,
      repaired: 0,
    },
  };
}

const without = (count: number): object[] => Array.from({ length: count }, (_, index) => ({ _id: index }));

test('a run stops early when the first pages of all windows bring nothing but rejections of one kind', async () => {
  const limit = limitOf({ served: 100, rejected: 100, openWindows: [1, 2] });
  limit.note(pageOf(1, without(60)));
  assert.equal(limit.isPassed, false, 'one window has not brought anything yet');
  limit.note(pageOf(2, without(39)));
  assert.equal(limit.isPassed, false, '99 events are too few');
  limit.note(pageOf(1, without(1)));
  assert.equal(limit.isPassed, true);
  await assert.rejects(limit.check(), (error) => {
    assert.equal(exitCodeOf(error), 2);
    assert.match(String(error), /7 for id: id-missing \(such an event has "_id", "uuid"\).*--max-rejected 100%/);
    return true;
  });
});

test('it goes on where an event was accepted, for two reasons, at the end, and when everything is accepted', async () => {
  const given = { served: 200, rejected: 200, openWindows: [1] };
  const passed = (limit: RejectionLimit, ...pages: readonly FirstPage[]): boolean => {
    for (const page of pages) limit.note(page);
    return limit.isPassed;
  };
  assert.equal(passed(limitOf(given), pageOf(1, without(200))), true);
  assert.equal(passed(limitOf(given), pageOf(1, [...without(200), { id: 'good' }])), false);
  assert.equal(passed(limitOf(given), pageOf(1, [...without(200), { id: null }])), false);
  assert.equal(passed(limitOf({ ...given, openWindows: [] }), pageOf(1, without(200))), false);
  assert.equal(
    passed(limitOf({ ...given, served: 201 }), pageOf(1, without(200))),
    false,
    'accepted by an earlier start',
  );
  assert.equal(passed(limitOf({ ...given, bound: { share: 1 } }), pageOf(1, without(200))), false);
  assert.equal(passed(limitOf({ ...given, bound: { share: 0.5 } }), pageOf(1, without(200))), true);
  assert.equal(passed(limitOf({ ...given, bound: { events: 500 } }), pageOf(1, without(200))), false);
  // A page that was on its way when it was decided.
  const late = limitOf(given);
  assert.equal(passed(late, pageOf(1, without(200)), pageOf(1, [{ id: 'good' }])), false);
  await late.check();
});
