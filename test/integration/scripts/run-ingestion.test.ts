import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { ScriptFolder, syntaxErrors } from '../../support/shell-scripts.ts';

const SCRIPT = 'run-ingestion.sh';
const line = (fields: object, msg: string, level = 'info'): string =>
  `${JSON.stringify({ level, time: '2026-11-25T04:15:09.123Z', ...fields, msg })}\n`;
const STARTED = line({ source: 'https://api' }, 'run 1 begins');
const serving = (code: number): string =>
  line({ url: 'http://0.0.0.0:8080', exit_code: code }, 'the job has ended; still serving until stopped');
const COMPLETE = line({ inserted: 3_000_000 }, 'ingestion complete') + serving(0);
const GAVE_UP = line({ exit_code: 4 }, 'the API asked to wait for 3000 s: start again at 05:10', 'error');

async function folderWith(
  t: Parameters<typeof ScriptFolder.create>[0],
  files: Readonly<Record<string, string>>,
): Promise<ScriptFolder> {
  const folder = await ScriptFolder.create(t, [SCRIPT]);
  await folder.useStandIn('docker');
  await folder.write('.env', 'TARGET_API_KEY=your_api_key_here\n');
  await folder.prepare(files);
  return folder;
}

test('run-ingestion.sh can be read by a POSIX shell', () => {
  assert.equal(syntaxErrors(SCRIPT), '');
});

test('run-ingestion.sh shows the log of the job and ends 0 when it is complete, also though Docker would show more', async (t) => {
  const folder = await folderWith(t, { 'logs.1': STARTED + COMPLETE, 'ends.1': 'stays' });
  const { code, stdout, stderr } = await folder.run(SCRIPT);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /Live page: http:\/\/127\.0\.0\.1:8080\//);
  assert.match(stdout, /run 1 begins/);
  assert.match(stdout, /The ids: +docker exec assignment-ingestion npm run export-ids/);
  const calls = await folder.kept('calls');
  assert.match(calls, /^compose up --detach --build ingestion$/m);
  assert.match(calls, /^logs --follow --since 2026-01-01T00:00:01Z assignment-ingestion$/m);
  assert.match(calls, /^run .*--network none .*sha256:image show-log$/m);
});

test('run-ingestion.sh says what is missing, and how to get it, before it starts anything', async (t) => {
  const folder = await ScriptFolder.create(t, [SCRIPT]);
  await folder.write('.env', 'TARGET_API_KEY=key\n');
  const without = await folder.run(SCRIPT);
  assert.equal(without.code, 2);
  assert.match(without.stderr, /Docker is not installed.*https/);

  await folder.useStandIn('docker');
  await folder.prepare({ info: '1\nCannot connect to the Docker daemon\nerrors pretty printing info' });
  const silent = await folder.run(SCRIPT);
  assert.equal(silent.code, 2);
  assert.match(silent.stderr, /Docker does not answer: Cannot connect to the Docker daemon\n/);

  await rm(join(folder.standIn, 'info'));
  await folder.prepare({ 'compose-version': "1\ndocker: 'compose' is not a docker command" });
  const old = await folder.run(SCRIPT);
  assert.equal(old.code, 2);
  assert.match(old.stderr, /Docker Compose version 2 is missing/);

  await rm(join(folder.standIn, 'compose-version'));
  for (const env of ['', 'TARGET_API_KEY=\n', '# TARGET_API_KEY=key\nOTHER_TARGET_API_KEY=key\n']) {
    await folder.write('.env', env);
    const keyless = await folder.run(SCRIPT);
    assert.equal(keyless.code, 2);
    assert.match(keyless.stderr, /no API key.*\.env/);
  }
  assert.doesNotMatch(await folder.kept('calls'), /compose up/);
});

test('run-ingestion.sh names the port settings when the services cannot be started', async (t) => {
  const folder = await folderWith(t, { up: '1\nBind for 127.0.0.1:5434 failed: port is already allocated' });
  const { code, stderr } = await folder.run(SCRIPT);
  assert.equal(code, 2);
  assert.match(stderr, /port is already allocated/);
  assert.match(stderr, /POSTGRES_HOST_PORT=5435 HTTP_HOST_PORT=8088 sh run-ingestion\.sh/);
});

test('run-ingestion.sh takes no job for ended that follows and shows code 5', async (t) => {
  const folder = await folderWith(t, { 'logs.1': COMPLETE });
  await folder.run(SCRIPT);
  const [, asked = ''] =
    /^exec assignment-ingestion node -e ([^]*?exit\(.*\))$/m.exec(await folder.kept('calls')) ?? [];
  let health = {};
  const server = createServer((_, response) => response.end(JSON.stringify(health))).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  const HTTP_PORT = String(typeof address === 'object' && address !== null ? address.port : 0);
  for (const [phase, exit_code, isEnded] of [
    ['following', 5, false],
    ['loading', null, false],
    ['ended', 0, true],
    ['ended', 5, true],
  ] as const) {
    health = { phase, exit_code };
    const [code] = (await once(spawn(process.execPath, ['-e', asked], { env: { HTTP_PORT } }), 'exit')) as unknown[];
    assert.equal(code, isEnded ? 0 : 1, `${phase} ${exit_code}`);
  }
});

test('run-ingestion.sh ends with the code of a job that stays up after it failed', async (t) => {
  const refused = line({ exit_code: 3 }, 'the API refuses the key', 'error');
  const folder = await folderWith(t, { 'logs.1': STARTED + refused + serving(3), 'ends.1': 'stays' });
  const { code, stdout, stderr } = await folder.run(SCRIPT);
  assert.equal(code, 3);
  assert.match(stdout, /the API refuses the key/);
  assert.match(stderr, /ended with code 3; its last line says why/);
});

test('run-ingestion.sh ends with the code of the container when the log has none', async (t) => {
  const folder = await folderWith(t, { 'logs.1': '--page-size (BATCH_SIZE): got "x"\n', 'ends.1': 'exited 2' });
  const { code, stdout } = await folder.run(SCRIPT);
  assert.equal(code, 2);
  assert.match(stdout, /^--page-size \(BATCH_SIZE\): got "x"$/m);
});

test('run-ingestion.sh goes on watching a job that Docker starts again, and ends when Docker does not', async (t) => {
  const crash = 'node: out of memory\n';
  const mended = await folderWith(t, { 'logs.1': STARTED + crash, 'ends.1': 'pauses', 'logs.2': COMPLETE });
  const { code, stdout } = await mended.run(SCRIPT);
  assert.equal(code, 0);
  assert.match(stdout, /node: out of memory\nThe job failed; Docker has started it again\./);

  const failing = await folderWith(t, {
    'logs.1': GAVE_UP,
    'ends.1': 'restarts',
    'logs.2': GAVE_UP,
    'ends.2': 'exited 4',
  });
  const { code: last, stderr } = await failing.run(SCRIPT);
  assert.equal(last, 4);
  assert.match(stderr, /ended with code 4/);
});

test('run-ingestion.sh says so when somebody stopped the job, or killed it', async (t) => {
  const stopped = line({ signal: 'SIGTERM', exit_code: 143 }, 'ingestion stopped; start again to go on', 'warn');
  for (const log of [STARTED, STARTED + stopped]) {
    const folder = await folderWith(t, { 'logs.1': log, 'ends.1': 'exited 143' });
    const { code, stderr } = await folder.run(SCRIPT);
    assert.equal(code, 143);
    assert.match(stderr, /stopped before it was complete/);
  }
  const killed = await folderWith(t, { 'logs.1': STARTED, 'ends.1': 'exited 137' });
  const { code, stderr } = await killed.run(SCRIPT);
  assert.equal(code, 137);
  assert.match(stderr, /killed, by hand or because there was no memory left/);
});

test('run-ingestion.sh hands a key on as the job itself would read it, whatever Compose makes of .env', async (t) => {
  const key = 'a$b "c" \\d #e';
  const folder = await folderWith(t, { 'logs.1': COMPLETE });
  await folder.write('.env', `export TARGET_API_KEY='${key}'\r\nHTTP_HOST_PORT=8088\n`);
  const { code, stdout, stderr } = await folder.run(SCRIPT);
  assert.equal(code, 0, stderr);
  assert.equal(await folder.kept('key'), `${key}\n`);
  assert.equal(await folder.kept('dotenv'), 'HTTP_HOST_PORT=8088\n');
  assert.ok(!`${stdout}${stderr}`.includes('a$b'));
});

test('run-ingestion.sh watches a job that runs already, and starts a new one when the last has ended', async (t) => {
  const before = { start: '1', status: 'running' };
  const folder = await folderWith(t, { ...before, ended: '', 'logs.1': COMPLETE, 'logs.2': COMPLETE });
  const again = await folder.run(SCRIPT);
  assert.equal(again.code, 0);
  assert.match(again.stdout, /last run has ended: starting a new one/);
  assert.match(await folder.kept('calls'), /^compose up --detach --build --force-recreate ingestion$/m);

  const running = await folderWith(t, { ...before, 'logs.1': STARTED, 'ends.1': 'exited 143' });
  assert.match((await running.run(SCRIPT)).stdout, /run 1 begins/);
  assert.match(await running.kept('calls'), /^compose up --detach --build ingestion$/m);
});

test('run-ingestion.sh keeps the job from being too quiet to be watched', async (t) => {
  const folder = await folderWith(t, { 'logs.1': COMPLETE });
  await folder.write('.env', 'TARGET_API_KEY=key\nLOG_LEVEL=error # please\n');
  assert.equal((await folder.run(SCRIPT)).code, 0);
  assert.equal(await folder.kept('environment'), 'LOG_LEVEL=info\n');
  const debug = await folderWith(t, { 'logs.1': COMPLETE });
  assert.equal((await debug.run(SCRIPT, [], { LOG_LEVEL: 'debug' })).code, 0);
  assert.equal(await debug.kept('environment'), 'LOG_LEVEL=debug\n');
});

test('Ctrl-C and a closed terminal end the watching, leave the job running and no folder behind', async (t) => {
  const folder = await folderWith(t, { 'logs.1': STARTED, 'ends.1': 'stays' });
  const ends = [
    ['SIGINT', true, 130],
    ['SIGINT', false, 130],
    ['SIGHUP', false, 129],
    ['SIGTERM', false, 143],
  ] as const;
  for (const [signal, toGroup, code] of ends) {
    const program = folder.start(SCRIPT, [], { TMPDIR: folder.standIn });
    await program.waitForLine(/run 1 begins/);
    if (toGroup) program.killGroup(signal);
    else program.kill(signal);
    assert.equal((await program.waitForExit()).code, code);
    assert.match(program.stdout, /stop it: +docker compose stop ingestion/);
  }
  assert.deepEqual(
    (await readdir(folder.standIn)).filter((name) => name.startsWith('run-ingestion')),
    [],
  );
  assert.doesNotMatch(await folder.kept('calls'), /compose stop/);
});

test('run-ingestion.sh shows its usage, and refuses what it does not know', async (t) => {
  const folder = await ScriptFolder.create(t, [SCRIPT]);
  const help = await folder.run(SCRIPT, ['--help']);
  assert.equal(help.code, 0);
  assert.match(help.stdout, /^usage:/);
  assert.equal((await folder.run(SCRIPT, ['--fast'])).code, 2);
});
