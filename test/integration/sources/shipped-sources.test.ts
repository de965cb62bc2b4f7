/** Each shipped source from the stub of its vendor into its table: a few hundred records, with faults, value by value. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DescribedScene, assertCode } from '../../support/described-scene.ts';
import { openGithubIssues } from '../../support/vendors/github-issues.ts';
import { SHIPPED, descriptionText, shipped } from '../../support/vendors/shipped.ts';
import type { Fault } from '../../support/vendors/vendor.ts';

const FAULTS: Readonly<Record<number, Fault>> = { 2: 'reset', 4: 'html-502', 5: 'truncated', 7: 'refused' };

for (const { name } of SHIPPED) {
  void test(`${name} is loaded as its vendor serves it`, async (t) => {
    const scene = await DescribedScene.open(t, name, { count: 450, fault: (request) => FAULTS[request] });
    await scene.ingestAll();
  });
}

void test('github-issues: more issues of one second than GitHub has page numbers for are no complete run', async (t) => {
  const stub = await openGithubIssues(t, { count: 420, ofOneSecond: 380, pagedIssues: 300 });
  const { environment } = shipped('github-issues');
  const scene = await DescribedScene.of(t, stub, descriptionText('github-issues', stub), environment);
  const end = await scene.ingest();
  assertCode(end, 4);
  assert.match(end.reason, /422 .*Pagination with the page parameter.* share one instant/);
});
