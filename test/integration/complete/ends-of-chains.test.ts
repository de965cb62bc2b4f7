/** Only the API's own word on a page that is a page ends a chain: an error, a missing flag or a 418 does not. */
import { test } from 'node:test';
import { ODD_ANSWERS, type Odd } from '../../support/odd-answers.ts';
import type { PageHook } from '../../support/scripted-api.ts';
import { NEWEST_MS, eventsUpTo } from '../../support/scripted-events.ts';
import { ScriptedScene, assertProof } from '../../support/scripted-scene.ts';

const EVENTS = eventsUpTo(3_000);
const MAX_PAGE = 200;
/** Page 6 of one chain would begin here. */
const ODD_FROM = 5 * MAX_PAGE;
/** Below every event: all are taken, and the run is limited, so no total is held against it. */
const SINCE = ['--since', String(NEWEST_MS - 3_600_000)];

/** What stands beside an empty list is read in one place, whatever the shape: the live shape is given it once. */
const LIVE_ANSWERS = [
  'an error code beside an empty list',
  'a page of events without a flag',
  'status 418',
] as const satisfies readonly (keyof typeof ODD_ANSWERS)[];

const APIS = [
  { name: 'doc shape', shape: 'doc', flags: [], answers: Object.entries<Odd>(ODD_ANSWERS) },
  {
    name: 'live shape with --since',
    shape: 'live',
    flags: SINCE,
    answers: LIVE_ANSWERS.map((answer) => [answer, ODD_ANSWERS[answer]] as const),
  },
] as const;

/** The first request with a cursor that reaches so far down gets the odd answer. */
function onceOdd(odd: Odd): PageHook {
  let isDone = false;
  return ({ cursor, usual }) => {
    if (isDone || cursor === null || usual.first < ODD_FROM) return undefined;
    isDone = true;
    return odd(usual);
  };
}

for (const { name, shape, flags, answers } of APIS) {
  for (const [answer, odd] of answers) {
    void test(`${answer}, once in the middle of a chain (${name}), ends nothing: every event is a row`, async (t) => {
      const options = { events: EVENTS, shape, maxPage: MAX_PAGE, hook: onceOdd(odd) };
      const scene = await ScriptedScene.open(t, options);
      assertProof(await scene.ingestAll(flags), 'api-end');
    });
  }
}

void test('an odd answer to one of several windows ends no window', async (t) => {
  for (const odd of [ODD_ANSWERS['status 418'], ODD_ANSWERS['"success": false']]) {
    const options = { events: EVENTS, shape: 'doc', maxPage: 50, hook: onceOdd(odd) } as const;
    const scene = await ScriptedScene.open(t, options);
    await scene.ingestAll(['--concurrency', '4']);
  }
});
