import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { checkFile, source } from '../../../src/commands/source.ts';
import { ConfigurationError } from '../../../src/core/errors.ts';

const GOOD = `name: things
url: https://api.example.com/things
auth: { bearer: "\${THINGS_KEY}" }
records: [data]
next: { token: { path: [next], param: cursor } }
`;

function written(t: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'source-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const file = join(folder, 'things.yaml');
  writeFileSync(file, text);
  return file;
}

test('a good description is answered with its card, its warnings, and what the environment lacks', (t) => {
  const file = written(t, GOOD);
  const { text, exitCode } = checkFile(file, {}, false);
  assert.equal(exitCode, 0);
  assert.match(text, /things\.yaml:4:1: warning: records: without id, equal records are one row/);
  assert.match(text, /THINGS_KEY is not set in the environment: a run needs it/);
  assert.match(text, /rows exactly once +│ no: equal records are/);
  assert.doesNotMatch(checkFile(file, { THINGS_KEY: 'geheim' }, false).text, /THINGS_KEY|geheim/);
});

test('a bad description is answered with each problem by line and column, and code 2', (t) => {
  const file = written(t, `${GOOD}sort: up\nid: 7\n`);
  const { text, exitCode } = checkFile(file, {}, false);
  assert.equal(exitCode, 2);
  assert.match(
    text,
    /^.*things\.yaml:6:1: sort: there is no such word here;.*\n.*things\.yaml:7:1: id: expected a list/,
  );
});

test('machines get the same as JSON', (t) => {
  const { text } = checkFile(written(t, GOOD), {}, true);
  assert.match(text, /"unset": \[\s+"THINGS_KEY"\s+\]/);
  assert.match(text, /"staleCursor": \{\s+"answer": "from the top, paid twice"/);
});

test('a file that is not there, and an action that does not exist, are named', async () => {
  assert.throws(() => checkFile('no/such.yaml', {}, false), /The description no\/such\.yaml cannot be read: .*ENOENT/);
  await assert.rejects(source(['prove', 'x.yaml'], {}), ConfigurationError);
  await assert.rejects(source(['check'], {}), /missing required argument 'file'/);
});
