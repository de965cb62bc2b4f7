import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { z } from 'zod';
import { renderEnvelope } from '../../../../src/simulator/endpoints/envelope.ts';
import { parseSettings } from '../../../../src/simulator/settings.ts';

const facts = {
  limit: 5_000,
  returned: 1,
  hasMore: true,
  nextCursor: 'abc=',
  cursorExpiresIn: 116,
  total: 3_000_000,
  requestId: 'r-1',
};

test('every combination of shape, place, names, types and spaces is JSON around the events', () => {
  fc.assert(
    fc.property(
      fc.record({
        shape: fc.constantFrom('live', 'docs'),
        envelope: fc.constantFrom('after', 'before'),
        keyOrder: fc.constantFrom('normal', 'reversed'),
        dataField: fc.constantFrom('data', 'events'),
        keyCase: fc.constantFrom('camel', 'snake'),
        hasMoreAs: fc.constantFrom('boolean', 'text', 'number'),
        lastCursor: fc.constantFrom('null', 'absent', 'empty'),
        spaces: fc.boolean(),
        total: fc.boolean(),
      }),
      fc.boolean(),
      (choices, hasMore) => {
        const settings = parseSettings(choices);
        const { head, tail } = renderEnvelope(settings, {
          ...facts,
          hasMore,
          nextCursor: hasMore ? facts.nextCursor : null,
        });
        const page = z.record(z.string(), z.unknown()).parse(JSON.parse(`${head}{"id":"x"}${tail}`));
        assert.deepEqual(page[choices.dataField], [{ id: 'x' }]);
        assert.equal(head.includes('asMore') || head.includes('as_more'), choices.envelope === 'before');
        assert.equal(`${head}${tail}`.includes('abc='), hasMore);
      },
    ),
  );
});

test("the live shape is the contract's, to the byte", () => {
  const { head, tail } = renderEnvelope(parseSettings({}), facts);
  assert.equal(head, '{"data":[');
  assert.equal(
    tail,
    '],"pagination":{"limit":5000,"hasMore":true,"nextCursor":"abc=","cursorExpiresIn":116},"meta":{"total":3000000,"returned":1,"requestId":"r-1"}}',
  );
});
