/** An empty page behind a cursor ends a list only where nothing lies below it: an answer by time may itself go on by cursors that are dead. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toCursor, type PageHook, type ScriptedAnswer, type UsualPage } from '../support/scripted-api.ts';
import { eventsUpTo, NEWEST_MS, type ScriptedEvent } from '../support/scripted-events.ts';
import { ScriptedScene, tailOf } from '../support/scripted-scene.ts';

const EMPTY_END = { body: { data: [], hasMore: false, nextCursor: null } };

/** So many at each second. */
function eventsAt(perInstant: number): ScriptedEvent[] {
  return eventsUpTo(800, (n) => ({ timestamp: NEWEST_MS - Math.floor(n / perInstant) * 1_000 }));
}

for (const [times, code] of [
  [2, 0],
  [Infinity, 4],
] as const) {
  void test(`an empty last page where one instant ends, ${times} times, is no end above older ones: ${code}`, async (t) => {
    const events = eventsAt(40);
    let left: number = times;
    const hook: PageHook = ({ cursor, usual }) => {
      if (cursor === null || usual.first !== 240 || left === 0) return undefined;
      left -= 1;
      return EMPTY_END;
    };
    const scene = await ScriptedScene.open(t, { events, shape: 'doc', maxPage: 20, hook });
    const ending = await scene.ingest();
    await scene.expect(ending, code, code === 0 ? events : events.slice(0, 240));
  });
}

for (const [what, livingSteps, pageOf] of [
  ['that live for one page', 1, (): number => 20],
  ['that live for two pages', 2, (): number => 20],
  ['of pages that are seldom full', 0, (number: number): number => 7 + ((number * 7_919) % 14)],
] as const) {
  void test(`cursors ${what}, and then lead to an empty last page, are no end above what a request by time brings: 4`, async (t) => {
    const events = eventsAt(20 * Math.max(2, livingSteps + 1));
    const scene = await ScriptedScene.open(t, { events, shape: 'doc', maxPage: 20 });
    let steps = 0;
    scene.api.options.hook = ({ cursor, number, usual }) => {
      scene.api.options.maxPage = pageOf(number);
      steps = cursor === null ? 0 : steps + 1;
      const isDead = steps > livingSteps && (livingSteps > 0 || usual.first >= 300);
      return isDead ? EMPTY_END : undefined;
    };
    const ending = await scene.ingest();
    assert.equal(ending.code, 4, tailOf(ending));
  });
}

const LAST_LEADS_TO: Readonly<Record<string, (usual: UsualPage) => ScriptedAnswer>> = {
  'an empty page': () => EMPTY_END,
  'an error': () => ({ status: 400, body: { code: 'CURSOR_EXPIRED' } }),
};

for (const [last, perInstant, code] of [
  ...[1, 20, 30, 40, 50].map((n) => ['an empty page', n, 0] as const),
  ['an error', 1, 0],
  // Full pages of one instant, and nothing but the words that are in doubt: it is all there, and nobody can know.
  ['an error', 40, 4],
] as const) {
  const what = `"hasMore": false beside each cursor, of which the last leads to ${last}, ends nothing`;
  void test(`${what}: ${perInstant} events an instant, ${code}`, async (t) => {
    const events = eventsAt(perInstant);
    const hook: PageHook = ({ cursor, usual }) => {
      if (cursor !== null && usual.first >= events.length) return LAST_LEADS_TO[last]?.(usual);
      const nextCursor = usual.body['nextCursor'] ?? toCursor({ left: 0 });
      return { body: { ...usual.body, hasMore: false, nextCursor } };
    };
    const scene = await ScriptedScene.open(t, { events, shape: 'doc', maxPage: 20, hook });
    await scene.expect(await scene.ingest(['--page-size', '20']), code, events);
  });
}
