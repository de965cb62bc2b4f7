/** Every exit code of the job, as its container and the script that watches it treat it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EXIT_CODES } from '../../../src/core/errors.ts';
import { ENDS_THAT_STAY } from '../../../src/watch/watching.ts';
import { ScriptFolder } from '../../support/shell-scripts.ts';

const SCRIPT = 'run-ingestion.sh';
const { interrupted, terminated } = EXIT_CODES;

/** What the job logs last. */
function lastLine(code: number): string {
  const time = '2026-11-25T04:15:09.123Z';
  if (code === 0) return `${JSON.stringify({ level: 'info', time, events: 1, msg: 'ingestion complete' })}\n`;
  return `${JSON.stringify({ level: 'error', time, exit_code: code, msg: `why it ended with ${code}` })}\n`;
}

for (const [name, code] of Object.entries(EXIT_CODES)) {
  const isStopped = code === interrupted || code === terminated;
  const stays = ENDS_THAT_STAY.includes(code);
  const does = stays ? 'stays up' : isStopped ? 'is not started again' : 'is started again twice';
  test(`a job that ended with ${code} (${name}) ${does}, and the script ends with its code`, async (t) => {
    const folder = await ScriptFolder.create(t, [SCRIPT]);
    await folder.useStandIn('docker');
    await folder.write('.env', 'TARGET_API_KEY=your_api_key_here\n');
    // The restart policy is on-failure: a container that does not stay up is started again, unless somebody stopped it.
    const ends = stays ? 'stays' : isStopped ? `exited ${code}` : `restarts ${code}`;
    for (const start of [1, 2, 3]) {
      await folder.prepare({ [`logs.${start}`]: lastLine(code), [`ends.${start}`]: ends });
    }
    const { code: ended, stdout, stderr } = await folder.run(SCRIPT);
    assert.equal(ended, isStopped ? terminated : code, stderr);
    if (code !== 0 && !isStopped) assert.match(stderr, new RegExp(`why it ended with ${code}`));
    assert.equal(stdout.includes('was started again by Docker (2 of 2)'), !stays && !isStopped);
    assert.equal(/^compose stop/m.test(await folder.kept('calls')), !stays && !isStopped);
  });
}

test('what a restart would only repeat stays up: complete, wrong settings, a refused key, and counts that do not agree', () => {
  const { complete, configuration, keyRefused, countsDisagree } = EXIT_CODES;
  assert.deepEqual([...ENDS_THAT_STAY].sort(), [complete, configuration, keyRefused, countsDisagree]);
});
