/** State belongs to its source, and what a person asks for by a flag is done or refused, whatever is stored. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScriptedApi } from '../../support/scripted-api.ts';
import {
  NEWEST_MS,
  eventsUpTo,
  newerEvents,
  newestFirst,
  uuidFrom,
  type ScriptedEvent,
} from '../../support/scripted-events.ts';
import { ScriptedScene, tailOf } from '../../support/scripted-scene.ts';

const MINUTE = ['--lookback', '60'];

/** Events of another source: other ids at the same times. */
const eventsOfB = (): ScriptedEvent[] => eventsUpTo(2_000, (n) => ({ id: uuidFrom(`other ${n}`), name: `other_${n}` }));

void test('verify of another source than the run is of is refused with both addresses, and of the same, with a slash or not, ends with 0', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(1_000) });
  await scene.ingestAll();
  const other = await ScriptedApi.open(t, { events: eventsOfB().slice(0, 1_000) });
  const refused = await scene.command('verify', [], other);
  assert.equal(refused.code, 2, refused.stderr);
  for (const { baseUrl } of [scene.api, other]) assert.ok(refused.stderr.includes(baseUrl), refused.stderr);
  assert.doesNotMatch(refused.stdout, /nothing is missing/);
  for (const baseUrl of [scene.api.baseUrl, `${scene.api.baseUrl}/`]) {
    const checked = await scene.command('verify', [], { baseUrl });
    assert.equal(checked.code, 0, checked.stderr);
  }
});

const LIMITS = {
  'one minute of it': ['--since', String(NEWEST_MS - 60_000), '--until', String(NEWEST_MS)],
  'its newest ten minutes': ['--since', String(NEWEST_MS - 600_000)],
};

for (const [what, limits] of Object.entries(LIMITS)) {
  void test(`a source of which a run has taken ${what} is taken whole by the next, whatever another source's watermark is`, async (t) => {
    const a = eventsUpTo(1_500);
    const scene = await ScriptedScene.open(t, { events: a, shape: 'doc' });
    await scene.ingestAll();
    const b = await ScriptedApi.open(t, { events: eventsOfB(), shape: 'doc' });
    const limited = await scene.ingest(['--new-run', ...limits], b);
    assert.equal(limited.code, 0, tailOf(limited));
    await scene.expect(await scene.ingest(MINUTE, b), 0, [...a, ...eventsOfB()]);
  });
}

void test('a source that comes back after another one goes on from its own watermark', async (t) => {
  const a = eventsUpTo(1_500);
  const scene = await ScriptedScene.open(t, { events: a, shape: 'doc' });
  await scene.ingestAll();
  // Far newer, so that its watermark lies above everything of the first.
  const b = newerEvents(300, (n) => ({ id: uuidFrom(`other ${n}`), timestamp: NEWEST_MS + 86_400_000 - n }));
  const other = await ScriptedApi.open(t, { events: newestFirst(b), shape: 'doc' });
  const began = await scene.ingest(['--new-run'], other);
  assert.equal(began.code, 0, tailOf(began));
  scene.api.options.events = [...newerEvents(400), ...a];
  const back = await scene.ingest(['--new-run', ...MINUTE]);
  await scene.expect(back, 0, [...scene.api.options.events, ...b]);
});
