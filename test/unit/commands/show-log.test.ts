import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { readLog } from '../../../src/commands/show-log.ts';
import type { ExitCode } from '../../../src/core/errors.ts';

const line = (fields: object, msg: string, level = 'info'): string =>
  JSON.stringify({ level, time: '2026-11-25T04:15:09.123Z', ...fields, msg });
const COMPLETE = line(
  {
    events: 3_000_000,
    inserted: 2_999_990,
    updated: 0,
    duplicates: 7,
    rejected: 3,
    repaired: 4,
    proof_text: 'by "a count"',
  },
  'ingestion complete',
);
const SERVING = line({ url: 'http://0.0.0.0:8080', exit_code: 0 }, 'the job has ended; still serving until stopped');

/** @param isOpen whether the log goes on behind its last line, as that of a job that goes on serving */
async function read(lines: readonly string[], isOpen = false): Promise<{ code: ExitCode; shown: string }> {
  const log = new PassThrough();
  const output = new PassThrough();
  log.write(lines.map((each) => `${each}\n`).join(''));
  if (!isOpen) log.end();
  const code = await readLog(log, output);
  output.end();
  return { code, shown: await text(output) };
}

test('a log is shown for people, with what was inserted, to the line of a job that has ended and goes on serving', async () => {
  const { code, shown } = await read([line({ run: 1 }, 'run started'), COMPLETE, SERVING], true);
  assert.equal(code, 0);
  assert.match(shown, /INFO: run started \{"run":1\}\n/);
  assert.match(
    shown,
    /Complete: 2,999,990 events inserted, 0 updated, 7 duplicates, 3 rejected, 4 repaired\.\n {2}proof: by "a count"/,
  );
});

test('a log ends with the exit code in its last line that has one, whatever the texts say', async () => {
  const failed = line({ exit_code: 4 }, 'gave up', 'error');
  const quoting = line({ reason: 'the API sent {"exit_code":0,"url":"x"}' }, 'a page failed', 'warn');
  assert.equal((await read([quoting, failed])).code, 4);
  assert.equal((await read([failed, 'not of the log'])).code, 4);
});

test('a log that breaks off says no exit code: lines that are not JSON are shown as they are', async () => {
  const { code, shown } = await read(['--page-size (BATCH_SIZE): got "x"', '{"exit_code":0', '{}']);
  assert.equal(code, 1);
  assert.match(shown, /^--page-size \(BATCH_SIZE\): got "x"\n\{"exit_code":0\n/);
});
