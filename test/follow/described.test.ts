import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { describedSource, type DescribedSource } from '../../src/app/run/described-source.ts';
import { readDescription } from '../../src/source/read-description.ts';
import { GrowingList, HOUR_MS } from '../support/follow/growing-list.ts';

/** The DataSync API by its description; `changes` are made to its text. */
function describedApi({ api }: GrowingList, changes: (text: string) => string): DescribedSource {
  const text = readFileSync(new URL('../../sources/datasync.yaml', import.meta.url), 'utf8');
  const { description, problems } = readDescription(changes(text));
  assert.deepEqual(problems, []);
  assert.ok(description !== null);
  return describedSource(description, { API_BASE_URL: api.baseUrl, TARGET_API_KEY: 'key' });
}

for (const [how, changes] of [
  ['takes bounds of time', (text: string) => text.replace('/events\n', '/events/feed\n')],
  [
    'takes none, and has no count',
    (text: string) => text.replace(/since: since, until: until, /, '').replace(/total: .*\n/, ''),
  ],
] as const) {
  void test(`a described source that ${how} is followed: new events, late ones, and a start`, async (t) => {
    const list = await GrowingList.open(t);
    list.described = describedApi(list, changes);
    list.grow(1_300);
    const requests: number[] = [];
    const missing: number[] = [];
    const act = async (wait: number): Promise<boolean> => {
      requests.push(list.api.pageRequests);
      missing.push(await list.missing());
      if (wait === 4) list.grow(12);
      if (wait === 6) list.grow(900, 0, 10);
      if (wait === 8) list.add(list.clock.now() - HOUR_MS / 3);
      return wait < 50;
    };
    const end = await list.follow(act);
    assert.equal(end.error, null, end.log.slice(-10).join(''));
    assert.equal(await list.missing(), 0);
    assert.deepEqual(missing.slice(0, 8), [0, 0, 0, 0, 0, 0, 0, 0]);
    assert.ok((requests.at(-1) ?? 0) < 50 + 30, String(requests));
    list.grow(3);
    await list.follow((wait) => wait < 3);
    assert.equal(await list.missing(), 0);
  });
}

void test('a described source whose list begins with the oldest is not followed: code 2, and nothing was asked', async (t) => {
  const list = await GrowingList.open(t);
  list.described = describedApi(list, (text) => text.replace('newest-first', 'oldest-first'));
  list.grow(10);
  const end = await list.follow(() => true);
  assert.equal(end.exitCode, 2);
  assert.match(end.error?.message ?? '', /each look would have to read all of it/);
  assert.equal(list.api.pageRequests, 0);
});
