import assert from 'node:assert/strict';
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { startSimulator } from '../../../src/simulator/simulator.ts';
import { ScriptFolder, syntaxErrors } from '../../support/shell-scripts.ts';
import {
  FILE,
  IDS,
  KEY,
  RECEIPT,
  REPOSITORY,
  SCRIPT,
  assertNothingSent,
  folderWith,
} from '../../support/submission.ts';

test('submit.sh can be read by a POSIX shell, and shows its usage without arguments', async (t) => {
  assert.equal(syntaxErrors(SCRIPT), '');
  const folder = await folderWith(t);
  const bare = await folder.run(SCRIPT);
  assert.equal(bare.code, 2);
  assert.match(bare.stderr, /^usage: \.\/submit\.sh/);
  const help = await folder.run(SCRIPT, ['--help']);
  assert.equal(help.code, 0);
  assert.match(help.stdout, /^usage: \.\/submit\.sh/);
  await assertNothingSent(folder);
});

test('submit.sh sends the file as it is, shows the receipt and keeps it', async (t) => {
  const folder = await folderWith(t);
  const { code, stdout, stderr } = await folder.run(SCRIPT, ['--yes', REPOSITORY]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /Received: Submission received/);
  assert.match(stdout, /ids received: 3/);
  assert.match(stdout, /submissions that remain: 4/);
  assert.equal(await folder.kept('sent'), FILE);
  assert.match(await folder.kept('arguments'), /^http:\/\/127\.0\.0\.1:9\/api\/v1\/submissions\?github_repo=https/m);
  const receipts = join(folder.path, '.data/submissions');
  const [receipt] = (await readdir(receipts)).filter((name) => name.endsWith('.txt'));
  assert.equal((await readFile(join(receipts, receipt ?? ''), 'utf8')).trim(), RECEIPT);
  const status = await folder.run(SCRIPT, ['--status']);
  assert.equal(status.code, 0);
  assert.match(status.stdout, /200 +3 +4 +https:\/\/github\.com\/yourusername\/your-repo/);
});

test('submit.sh gives the key to curl where no other user sees it, and prints it nowhere', async (t) => {
  const folder = await folderWith(t);
  await folder.prepare({ http: '400', answer: `{"error":"no such thing as ${KEY} here"}` });
  const { code, stdout, stderr } = await folder.run(SCRIPT, ['--yes', REPOSITORY]);
  assert.equal(code, 1);
  assert.equal(await folder.kept('config'), 'header = "X-API-Key: key \\"with\\\\odd\\" signs"\n');
  const kept = join(folder.path, '.data/submissions');
  const files = await Promise.all((await readdir(kept)).map((name) => readFile(join(kept, name), 'utf8')));
  for (const text of [await folder.kept('arguments'), stdout, stderr, ...files]) {
    assert.ok(!text.includes('with\\odd'), text);
  }
});

test('submit.sh refuses a file that would waste a submission', async (t) => {
  const cases: [string, RegExp][] = [
    ['', /there is no file event_ids\.txt[^]*npm run export-ids/],
    // Three spaces can be an id.
    [`${FILE}   \n\n${FILE}`, /empty lines, first in line 5/],
    [`${FILE}${IDS[1] ?? ''}\n`, /1 ids occur more than once .* for example 00000000-0000-4000-8000-000000000001/],
    [FILE.replaceAll('\n', '\r\n'), /Windows line ends/],
  ];
  for (const [file, expected] of cases) {
    const folder = await folderWith(t, file);
    const { code, stderr } = await folder.run(SCRIPT, ['--yes', REPOSITORY]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, expected);
    await assertNothingSent(folder);
  }
  const folder = await folderWith(t);
  await folder.write('none.txt', '');
  const { code, stderr } = await folder.run(SCRIPT, ['--yes', '--file', 'none.txt', REPOSITORY]);
  assert.equal(code, 2);
  assert.match(stderr, /none\.txt is empty/);
});

test('submit.sh counts a last id without a line end, and takes the file it is told', async (t) => {
  const folder = await folderWith(t, '');
  await mkdir(join(folder.path, 'my ids'));
  await folder.write('my ids/of today.txt', FILE.trimEnd());
  const { code, stdout } = await folder.run(SCRIPT, ['--yes', '--file', 'my ids/of today.txt', REPOSITORY]);
  assert.equal(code, 0);
  assert.match(stdout, / 3 distinct ids; no database could be asked/);
  assert.equal(await folder.kept('sent'), FILE.trimEnd());
});

test('submit.sh spends nothing without a yes', async (t) => {
  const folder = await folderWith(t);
  const { code, stderr } = await folder.run(SCRIPT, [REPOSITORY]);
  assert.equal(code, 2);
  assert.match(stderr, /one of the five submissions.*--yes/);
  await assertNothingSent(folder);
});

test('submit.sh asks in a terminal, and sends only after a yes', async (t) => {
  const folder = await folderWith(t);
  if (!(await folder.useReal('script'))) {
    t.skip('needs the program script, for a terminal');
    return;
  }
  for (const [answer, expected] of [
    ['n', 1],
    ['y', 0],
  ] as const) {
    const program = folder.startInTerminal(SCRIPT, [REPOSITORY]);
    // The question has no line end: what comes before it is waited for, and the terminal keeps the answer until then.
    await program.waitForLine(/distinct ids/);
    program.write(`${answer}\n`);
    assert.equal((await program.waitForExit()).code, expected);
    if (answer === 'n') await assertNothingSent(folder);
  }
  assert.equal(await folder.kept('sent'), FILE);
});

test('submit.sh turns an answer that is no receipt into a message and a code', async (t) => {
  const cases: [string, string, number, RegExp][] = [
    ['401', '{"error":"Unauthorized","message":"Send a valid key"}', 3, /refused the key \(401\): Send a valid key/],
    ['429', '{"error":"All submissions of this key are used"}', 1, /no more submissions \(429\): All submissions/],
    ['502', '<html>Bad gateway</html>', 4, /the API failed \(502\)/],
    ['404', '', 1, /did not accept the list \(404\)/],
    ['200', '{"data":{"eventCount":2}}', 5, /counted 2 ids, the file has 3/],
  ];
  for (const [http, answer, expected, message] of cases) {
    const folder = await folderWith(t);
    await folder.prepare({ http, answer });
    const { code, stderr } = await folder.run(SCRIPT, ['--yes', REPOSITORY]);
    assert.equal(code, expected, stderr);
    assert.match(stderr, message);
  }
});

test('submit.sh tells a list that was not sent from one whose answer never came', async (t) => {
  const folder = await folderWith(t);
  await folder.prepare({ fails: '7\ncurl: (7) Failed to connect' });
  const unreachable = await folder.run(SCRIPT, ['--yes', REPOSITORY]);
  assert.equal(unreachable.code, 4);
  assert.match(unreachable.stderr, /cannot be reached: curl: \(7\) Failed to connect\n.*Nothing was sent/);
  await folder.prepare({ fails: '28\ncurl: (28) Operation timed out' });
  const silent = await folder.run(SCRIPT, ['--yes', REPOSITORY]);
  assert.equal(silent.code, 4);
  assert.match(silent.stderr, /no answer came: curl: \(28\).*\n.*may have been received all the same/);
  assert.match((await folder.run(SCRIPT, ['--status'])).stdout, /none +3/);
});

test('submit.sh takes addresses of repositories and nothing else', async (t) => {
  const folder = await folderWith(t);
  for (const repository of ['your-repo', 'https://', 'https://github.com/a&limit=1', 'https://github.com/a b']) {
    const { code } = await folder.run(SCRIPT, ['--yes', repository]);
    assert.equal(code, 2, repository);
  }
  assert.equal((await folder.run(SCRIPT, ['--fast', REPOSITORY])).code, 2);
  assert.equal((await folder.run(SCRIPT, [REPOSITORY, REPOSITORY])).code, 2);
  await assertNothingSent(folder);
});

test('submit.sh submits to the simulated API, five times and no more', async (t) => {
  const folder = await ScriptFolder.create(t, [SCRIPT]);
  if (!(await folder.useReal('curl'))) {
    t.skip('needs curl');
    return;
  }
  const simulator = await startSimulator({ events: 10, key: KEY });
  t.after(() => simulator.close());
  await folder.write('event_ids.txt', FILE);
  // A name that curl by itself would take for a pattern.
  await folder.write('ids {of,all} [1-3].txt', FILE);
  const env = { TARGET_API_KEY: KEY, API_BASE_URL: simulator.baseUrl };
  for (let remaining = 4; remaining >= 0; remaining -= 1) {
    const file = remaining === 4 ? ['--file', 'ids {of,all} [1-3].txt'] : [];
    const { code, stdout, stderr } = await folder.run(SCRIPT, ['--yes', ...file, REPOSITORY], env);
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`ids received: 3[^]*remain: ${remaining}`));
  }
  const sixth = await folder.run(SCRIPT, ['--yes', REPOSITORY], env);
  assert.equal(sixth.code, 1);
  assert.match(sixth.stderr, /no more submissions \(429\)/);
  const refused = await folder.run(SCRIPT, ['--yes', REPOSITORY], { ...env, TARGET_API_KEY: 'another' });
  assert.equal(refused.code, 3);
  assert.equal((await folder.run(SCRIPT, ['--status'])).stdout.match(/github\.com/g)?.length, 7);
});
