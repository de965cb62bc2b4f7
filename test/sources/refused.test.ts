/** What a source or its description does wrong: one clear line each, nothing loaded wrongly, and no key sent elsewhere. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertCode, DescribedScene } from '../support/described-scene.ts';
import { openGitlabProjects } from '../support/vendors/gitlab-keyset.ts';
import { SHIPPED } from '../support/vendors/shipped.ts';

for (const { name, key } of SHIPPED) {
  void test(`${name}: a key that the vendor does not take ends with 3`, async (t) => {
    const scene = await DescribedScene.open(t, name, { count: 30 });
    const end = await scene.ingest([], { environment: { [key]: 'not-the-key-of-anybody' } });
    assertCode(end, 3);
    assert.doesNotMatch(`${end.reason}${end.log.join('')}`, /not-the-key-of-anybody/);
    assert.ok(scene.stub.requests < 5, `${scene.stub.requests} requests`);
  });

  void test(`${name}: a list that is not where the description says ends with 2`, async (t) => {
    const rewrite = (text: string): string => text.replace(/^records: .*$/m, 'records: [no, such, list]');
    const scene = await DescribedScene.open(t, name, { count: 30, rewrite });
    const end = await scene.ingest();
    assertCode(end, 2);
    assert.match(end.reason, new RegExp(`${name}[^]*\\[no, such, list\\]; it is (an object with|a list)`));
    assert.ok(scene.stub.requests < 8, `${scene.stub.requests} requests`);
  });
}

for (const name of ['gitlab-keyset', 'zendesk-tickets']) {
  void test(`${name}: a link to somebody else is not followed, and ends with 2`, async (t) => {
    const other = await openGitlabProjects(t, { count: 1 });
    const scene = await DescribedScene.open(t, name, { count: 2_000, linksTo: other.origin });
    const end = await scene.ingest();
    assertCode(end, 2);
    assert.equal(other.requests, 0);
    assert.match(end.reason, new RegExp(name));
  });
}

void test('a table belongs to one source: a second one ends with 2, and the rows stay', async (t) => {
  const scene = await DescribedScene.open(t, 'gitlab-keyset', { count: 300 });
  await scene.ingestAll();
  const second = DescribedScene.beside(scene, (text) => text.replace(/^name: .*$/m, 'name: another-gitlab'));
  const end = await second.ingest();
  assertCode(end, 2);
  assert.match(end.reason, /gitlab_projects[^]*gitlab-keyset|gitlab-keyset[^]*gitlab_projects/);
  await scene.assertExact();
});
