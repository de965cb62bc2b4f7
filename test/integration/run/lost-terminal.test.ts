/** Terminals that are closed, and places that cannot be written to: what that ends, and what it does not. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { CrashScene } from '../../crash/crash-scene.ts';
import { startNpm, startProgram, type Program } from '../../support/processes.ts';
import { KEY } from '../../support/simulator-client.ts';
import { TerminalSession } from '../watch/terminal-session.ts';

const SLOW = { events: 3_000, latency: 150, flags: ['--page-size', '100', '--merge-interval', '1'] };

/** The job's command line with its settings, for a shell that sends its output somewhere. */
function commandOf(scene: CrashScene): string {
  const { simulator, database } = scene;
  const settings = `API_BASE_URL=${simulator.baseUrl} TARGET_API_KEY=${KEY} DATABASE_URL='${database.url}' WORKER_THREADS=1`;
  return `env ${settings} ${process.execPath} --import tsx src/main.ts ${SLOW.flags.join(' ')}`;
}

/** Starts the job in a shell that says how it ended. */
function startInShell(t: TestContext, scene: CrashScene, redirection: string): Program {
  return startProgram(t, ['sh', '-c', `trap '' HUP; { ${commandOf(scene)}; echo "code $?" >&2; } ${redirection}`]);
}

for (const { place, redirection, code } of [
  { place: 'is full', redirection: '>/dev/full', code: 'ENOSPC' },
  { place: 'nobody reads any more', redirection: '| true', code: 'EPIPE' },
]) {
  void test(`a job whose log goes to a place that ${place} goes on, also when a terminal is closed`, async (t) => {
    const scene = await CrashScene.open(t, SLOW);
    const ingester = startInShell(t, scene, redirection);
    await scene.pagesMore(4, ingester);
    ingester.killGroup('SIGHUP');
    await ingester.waitForExit();
    const said = `stdout cannot be written to any more (${code}); the work goes on without it\n`;
    assert.equal(ingester.stderr, `${said}code 0\n`);
    await scene.assertExact();
  });
}

void test('a job whose terminal is closed merges what has arrived, and ends with 129', async (t) => {
  const scene = await CrashScene.open(t, { ...SLOW, latency: 400 });
  const folder = await mkdtemp(join(tmpdir(), 'datasync-terminal-'));
  t.after(() => rm(folder, { recursive: true }));
  const [shell, code] = [join(folder, 'shell.sh'), join(folder, 'code')];
  // As a person's shell does: it passes the signal on. The first wait ends with the signal, the second with the job.
  const lines = [`${commandOf(scene)} &`, 'trap "kill -HUP $!" HUP', 'wait', 'wait $!', `echo $? >${code}`];
  await writeFile(shell, lines.join('\n'));
  const session = new TerminalSession(t, `sh ${shell}`, 100);
  await session.waitForText('run started');
  await scene.pagesMore(1, null);
  session.hangUp();
  const ended = async (): Promise<string> => readFile(code, 'utf8').catch(() => '');
  await scene.until('the end of the job', async () => (await ended()).endsWith('\n'), null);
  assert.equal(await ended(), '129\n');
  assert.ok((await scene.database.number('SELECT count(*) FROM ingested_events')) >= 100);
  assert.equal(await scene.database.number('SELECT count(*) FROM ingestion.staging_a_1'), 0);
  await scene.finish(SLOW.flags.slice(0, 2));
});

void test('npm start does without a folder for temporary files', async (t) => {
  const program = startNpm(t, 'start', ['--help'], { env: { TMPDIR: '/proc' } });
  assert.equal((await program.waitForExit()).code, 0, program.stderr);
  assert.match(program.stdout, /^Usage: npm start/);
});
