/** Descriptions that random ones were made small to, each with an API that reads its words by itself: see test/descriptions. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testDatabase } from '../../support/database.ts';
import { KEPT } from '../../descriptions/kept.ts';
import { play } from '../../descriptions/play.ts';
import { tellCase, tellPlayed } from '../../descriptions/story.ts';

for (const [name, drawn] of Object.entries(KEPT)) {
  void test(name, async (t) => {
    const { url } = await testDatabase(t);
    const played = await play(drawn, url);
    assert.equal(played.breach, null, `${tellCase(drawn)}\n${tellPlayed(played, { log: false })}`);
  });
}
