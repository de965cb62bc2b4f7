/** A cursor that is the number of a page stands elsewhere with another limit: it is asked for with no other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PageHook, ScriptedAnswer } from '../support/scripted-api.ts';
import { eventsUpTo } from '../support/scripted-events.ts';
import { ScriptedScene, tailOf } from '../support/scripted-scene.ts';

const EVENTS = eventsUpTo(1_500).toSorted((one, two) => (String(one.id) < String(two.id) ? -1 : 1));
const IN_HUNDREDS = ['--page-size', '100'];

/** On an endpoint that takes no times. */
const OPTIONS = { events: EVENTS, shape: 'doc', hasStream: false, hasPageCursor: true } as const;

/** The first request by the cursor gets the answer. */
function once(victim: string, answer: ScriptedAnswer): PageHook {
  let isDone = false;
  return ({ cursor }) => {
    if (isDone || cursor !== victim) return undefined;
    isDone = true;
    return answer;
  };
}

void test('a start with another page size goes on with the pages that were counted', async (t) => {
  const scene = await ScriptedScene.open(t, OPTIONS);
  const stopped = await scene.stopAt(({ cursor }) => cursor === '5', IN_HUNDREDS);
  assert.equal(stopped.code, 143, tailOf(stopped));
  await scene.ingestAll(['--page-size', '400']);
});

void test('a broken event on the last page costs itself, though nothing says how many events that has', async (t) => {
  const broken = JSON.stringify(EVENTS[1_480]).replace('"n":', '"x":NaN,"n":');
  const hook: PageHook = ({ usual: { body, first, end } }) => {
    const envelope = Object.fromEntries(Object.entries(body).filter(([key]) => key !== 'data'));
    const texts = EVENTS.slice(first, end).map((event, at) => (first + at === 1_480 ? broken : JSON.stringify(event)));
    return { body: Buffer.from(`{"data":[${texts.join(',')}],${JSON.stringify(envelope).slice(1)}`) };
  };
  const scene = await ScriptedScene.open(t, { ...OPTIONS, hook });
  await scene.expect(await scene.ingest(['--page-size', '400']), 0, EVENTS.toSpliced(1_480, 1));
  assert.deepEqual(await scene.rejected(), { 'not-json': 1 });
});

for (const [name, answer] of [
  ['too large', { status: 413, body: { code: 'PAYLOAD_TOO_LARGE' } }],
  ['no JSON', { body: Buffer.from('busy') }],
  ['without its words', { body: { data: EVENTS.slice(700, 800) } }],
] as const) {
  void test(`a page that is ${name} once costs none of the pages that are counted`, async (t) => {
    const scene = await ScriptedScene.open(t, { ...OPTIONS, hook: once('7', answer) });
    await scene.ingestAll(IN_HUNDREDS);
  });
}
