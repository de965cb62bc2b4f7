import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { ScriptFolder, syntaxErrors } from '../../support/shell-scripts.ts';

const SCRIPT = 'run-ingestion.sh';
const line = (fields: object, msg: string, level = 'info'): string =>
  `${JSON.stringify({ level, time: '2026-11-25T04:15:09.123Z', ...fields, msg })}\n`;
const STARTED = line({ source: 'https://api' }, 'run 1 begins');
const COMPLETE = line(
  {
    events: 3_000_000,
    inserted: 2_999_990,
    updated: 0,
    duplicates: 7,
    rejected: 3,
    repaired: 4,
    pages: 600,
    requests: 612,
    seconds: 61.2,
    events_per_second: 49019,
    proof: 'count',
    proof_text: 'by the API\'s count: 3000000 places were served, and the API counts as many ("meta.total")',
  },
  'ingestion complete',
);
const GAVE_UP = line(
  { exit_code: 4 },
  'the API asked to wait for 3000 s: start again at 05:10\n"later", that is',
  'error',
);

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

test('run-ingestion.sh shows what the job says and ends 0 with the totals when it is complete', async (t) => {
  const folder = await folderWith(t, { 'logs.1': STARTED + COMPLETE, 'ends.1': 'stays' });
  const { code, stdout, stderr } = await folder.run(SCRIPT);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /04:15:09 run 1 begins {2}\(source=https:\/\/api\)/);
  assert.match(stdout, /Complete: 3000000 events taken/);
  assert.match(
    stdout,
    /proof: by the API's count: 3000000 places were served, and the API counts as many \("meta\.total"\)/,
  );
  assert.match(stdout, /why some were rejected: .*npm run anomalies/);
  assert.match(stdout, /inserted 2999990, updated 0, duplicates 7, rejected 3, repaired 4/);
  assert.match(stdout, /600 pages, 612 requests, 61\.2 s, 49019 events\/s/);
  assert.match(await folder.kept('calls'), /^compose up --detach --build ingestion$/m);
});

test('run-ingestion.sh says what is missing, and how to get it, before it starts anything', async (t) => {
  const folder = await ScriptFolder.create(t, [SCRIPT]);
  await folder.write('.env', 'TARGET_API_KEY=key\n');
  const without = await folder.run(SCRIPT);
  assert.equal(without.code, 2);
  assert.match(without.stderr, /Docker is not installed.*https/);

  await folder.useStandIn('docker');
  await folder.prepare({ info: '1\nCannot connect to the Docker daemon' });
  const silent = await folder.run(SCRIPT);
  assert.equal(silent.code, 2);
  assert.match(silent.stderr, /Docker does not answer: Cannot connect/);

  await folder.prepare({ info: 'hangs' });
  const hanging = await folder.run(SCRIPT, [], { DOCKER_PATIENCE: '1' });
  assert.equal(hanging.code, 2);
  assert.match(hanging.stderr, /Docker does not answer: no answer in 1 s/);

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

test('run-ingestion.sh ends with the code and the reason of a job that stays up after it failed', async (t) => {
  const refused = line({ exit_code: 3 }, 'the API refuses the key', 'error');
  const folder = await folderWith(t, { 'logs.1': STARTED + refused, 'ends.1': 'stays' });
  const { code, stderr } = await folder.run(SCRIPT);
  assert.equal(code, 3);
  assert.match(stderr, /code 3: the API refuses the key/);
  assert.doesNotMatch(await folder.kept('calls'), /compose stop/);
});

test('run-ingestion.sh ends with the code and the reason of a job whose container ended', async (t) => {
  const folder = await folderWith(t, { 'logs.1': STARTED + GAVE_UP, 'ends.1': 'exited 4' });
  await folder.prepare({ 'ends.1': 'exited 4', 'logs.1': STARTED + GAVE_UP.replace('"exit_code":4,', '') });
  const { code, stderr } = await folder.run(SCRIPT);
  assert.equal(code, 4);
  assert.match(stderr, /code 4: the API asked to wait for 3000 s: start again at 05:10 "later", that is/);
});

test('run-ingestion.sh stops a job that Docker would start again with settings it cannot use', async (t) => {
  const folder = await folderWith(t, { 'logs.1': '--page-size (BATCH_SIZE): got "x"\n', 'ends.1': 'exited 2' });
  const { code, stderr } = await folder.run(SCRIPT);
  assert.equal(code, 2);
  assert.match(stderr, /code 2: --page-size \(BATCH_SIZE\): got "x"/);
  assert.match(await folder.kept('calls'), /^compose stop ingestion$/m);
});

test('run-ingestion.sh goes on watching a job that Docker starts again', async (t) => {
  const crash = 'node: out of memory\n';
  const folder = await folderWith(t, { 'logs.1': STARTED + crash, 'ends.1': 'restarts 134', 'logs.2': COMPLETE });
  const { code, stdout } = await folder.run(SCRIPT);
  assert.equal(code, 0);
  assert.match(stdout, /node: out of memory/);
  assert.match(stdout, /started again by Docker \(1 of 2\)/);
});

test('run-ingestion.sh stops a job that fails at every start, and ends', async (t) => {
  const unexpected = line({}, 'unexpected: something broke', 'error');
  const folder = await folderWith(t, {
    'logs.1': unexpected,
    'ends.1': 'restarts 1',
    'logs.2': unexpected,
    'ends.2': 'restarts 1',
    'logs.3': unexpected,
    'ends.3': 'restarts 1',
  });
  const { code, stderr } = await folder.run(SCRIPT);
  assert.notEqual(code, 0);
  assert.match(stderr, /failed 3 times and was stopped.*something broke/);
  assert.match(await folder.kept('calls'), /^compose stop ingestion$/m);
});

test('run-ingestion.sh gives up on a job that says nothing, and leaves it as it is', async (t) => {
  const folder = await folderWith(t, { 'logs.1': STARTED, 'ends.1': 'stays' });
  const { code, stderr } = await folder.run(SCRIPT, [], { QUIET_AFTER: '1' });
  assert.equal(code, 4);
  assert.match(stderr, /not said a word for 1 s/);
  assert.doesNotMatch(await folder.kept('calls'), /compose stop/);
});

test('run-ingestion.sh says so when somebody stopped the job', async (t) => {
  const stopped = line({ signal: 'SIGTERM', exit_code: 143 }, 'ingestion stopped; start again to go on', 'warn');
  for (const log of [STARTED, STARTED + stopped]) {
    const folder = await folderWith(t, { 'logs.1': log, 'ends.1': 'exited 143' });
    const { code, stderr } = await folder.run(SCRIPT);
    assert.equal(code, 143);
    assert.match(stderr, /stopped before it was complete/);
  }
});

test('run-ingestion.sh goes on watching a job that was killed and started again, and says what a kill means', async (t) => {
  const again = await folderWith(t, { 'logs.1': STARTED, 'ends.1': 'restarts 137', 'logs.2': COMPLETE });
  assert.equal((await again.run(SCRIPT)).code, 0);
  const gone = await folderWith(t, { 'logs.1': STARTED, 'ends.1': 'exited 137' });
  const { code, stderr } = await gone.run(SCRIPT);
  assert.equal(code, 137);
  assert.match(stderr, /code 137: it was killed, by hand or because the machine had no memory left/);
});

test('run-ingestion.sh takes whole seconds, and says so before it starts anything', async (t) => {
  const folder = await folderWith(t, {});
  for (const setting of ['QUIET_AFTER', 'DOCKER_PATIENCE']) {
    for (const value of ['15m', '0', '-1']) {
      const { code, stderr } = await folder.run(SCRIPT, [], { [setting]: value });
      assert.equal(code, 2);
      assert.match(stderr, new RegExp(`${setting} takes a whole number of seconds, got ${value}`));
    }
  }
  assert.equal(await folder.kept('calls'), '');
});

test('run-ingestion.sh hands a key on as the job itself would read it, whatever Compose makes of .env', async (t) => {
  const key = 'a$b "c" \\d #e';
  const folder = await folderWith(t, { 'logs.1': COMPLETE });
  await folder.write('.env', `export TARGET_API_KEY='${key}'\r\n`);
  const { code, stdout, stderr } = await folder.run(SCRIPT);
  assert.equal(code, 0, stderr);
  assert.equal(await folder.kept('key'), `${key}\n`);
  assert.ok(!`${stdout}${stderr}`.includes('a$b'));
});

test('run-ingestion.sh watches a job that runs already, and starts a new one when the last has ended', async (t) => {
  const folder = await folderWith(t, { 'logs.1': COMPLETE, start: '1', status: 'running', 'logs.2': COMPLETE });
  const again = await folder.run(SCRIPT);
  assert.equal(again.code, 0);
  assert.match(again.stdout, /last run has ended: starting a new one/);
  assert.match(await folder.kept('calls'), /^compose up --detach --build --force-recreate ingestion$/m);

  const running = await folderWith(t, { 'logs.1': STARTED, 'ends.1': 'exited 143', start: '1', status: 'running' });
  assert.match((await running.run(SCRIPT)).stdout, /running already: watching it/);
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

test('Ctrl-C ends the watching, leaves the job running and says how to stop it', async (t) => {
  const folder = await folderWith(t, { 'logs.1': STARTED, 'ends.1': 'stays' });
  for (const toGroup of [true, false]) {
    const program = folder.start(SCRIPT);
    await program.waitForLine(/run 1 begins/);
    if (toGroup) program.killGroup('SIGINT');
    else program.kill('SIGINT');
    assert.equal((await program.waitForExit()).code, 130);
    assert.match(program.stdout, /stop it: +docker compose stop ingestion/);
  }
  assert.doesNotMatch(await folder.kept('calls'), /compose stop/);
});

test('run-ingestion.sh shows its usage, and refuses what it does not know', async (t) => {
  const folder = await ScriptFolder.create(t, [SCRIPT]);
  const help = await folder.run(SCRIPT, ['--help']);
  assert.equal(help.code, 0);
  assert.match(help.stdout, /^usage:/);
  assert.equal((await folder.run(SCRIPT, ['--fast'])).code, 2);
});
