/** Every exit code of the job, as its container and the script that watches it treat it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EXIT_CODES } from '../../../src/core/errors.ts';
import { ENDS_THAT_STAY } from '../../../src/watch/watching.ts';
import { ScriptFolder } from '../../support/shell-scripts.ts';

const SCRIPT = 'run-ingestion.sh';

/** What the job logs last. */
function lastLines(code: number, stays: boolean): string {
  const time = '2026-11-25T04:15:09.123Z';
  const end = code === 0 ? { inserted: 1, msg: 'ingestion complete' } : { exit_code: code, msg: 'why it ended' };
  const serving = {
    url: 'http://0.0.0.0:8080',
    exit_code: code,
    msg: 'the job has ended; still serving until stopped',
  };
  return (stays ? [end, serving] : [end])
    .map((fields) => `${JSON.stringify({ level: 'info', time, ...fields })}\n`)
    .join('');
}

for (const [name, code] of Object.entries(EXIT_CODES)) {
  const stays = ENDS_THAT_STAY.includes(code);
  test(`the script ends with ${code} (${name}) of a job that ${stays ? 'stays up' : 'is gone'}`, async (t) => {
    const folder = await ScriptFolder.create(t, [SCRIPT]);
    await folder.useStandIn('docker');
    await folder.write('.env', 'TARGET_API_KEY=your_api_key_here\n');
    await folder.prepare({ 'logs.1': lastLines(code, stays), 'ends.1': stays ? 'stays' : `exited ${code}` });
    const { code: ended, stderr } = await folder.run(SCRIPT);
    assert.equal(ended, code, stderr);
  });
}

test('what a restart would only repeat stays up: complete, wrong settings, a refused key, and counts that do not agree', () => {
  const { complete, configuration, keyRefused, countsDisagree } = EXIT_CODES;
  assert.deepEqual([...ENDS_THAT_STAY].sort(), [complete, configuration, keyRefused, countsDisagree]);
});
