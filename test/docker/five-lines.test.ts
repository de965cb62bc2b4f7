/**
 * The README's five lines with a real container engine, against the simulator of the compose file: `npm run test:docker`.
 * The test works in a copy of the project, with its own project name and ports. The two containers have fixed names: where
 * they exist already, the test is skipped.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { PROJECT_FOLDER } from '../support/processes.ts';

const EVENTS = 50_000;
const SIMULATOR_PORT = 18_787;
const FILES = [
  'Dockerfile',
  '.dockerignore',
  'docker-compose.yml',
  'docker',
  'docs',
  'package.json',
  'package-lock.json',
  '.npmrc',
  'tsconfig.json',
  'src',
  'workers',
  'run-ingestion.sh',
  'submit.sh',
];

const ENVIRONMENT = {
  ...process.env,
  COMPOSE_PROJECT_NAME: 'datasync-ingestion-test',
  COMPOSE_PROFILES: 'demo',
  COMPOSE_FILE: 'docker-compose.yml:docker-compose.test.yml',
  POSTGRES_HOST_PORT: '15434',
  HTTP_HOST_PORT: '18080',
  DEMO_HTTP_HOST_PORT: '18081',
  DEMO_EVENTS: String(EVENTS),
  API_BASE_URL: 'http://simulator:8787/api/v1',
};

/** submit.sh must reach the simulator from outside the containers. */
const OVERRIDE = `services:
  simulator:
    ports: ['127.0.0.1:${SIMULATOR_PORT}:8787']
`;

function whyNot(): string | false {
  if (spawnSync('docker', ['info']).status !== 0) return 'there is no container engine here';
  if (spawnSync('docker', ['compose', 'version']).status !== 0) return 'Docker Compose version 2 is not installed';
  const { stdout } = spawnSync('docker', ['ps', '--all', '--format', '{{.Names}}'], { encoding: 'utf8' });
  const taken = stdout.split('\n').filter((name) => name === 'assignment-ingestion' || name === 'assignment-postgres');
  return taken.length > 0 && `there are containers ${taken.join(' and ')} already`;
}

test('the five lines of the README work as they stand', { skip: whyNot() }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'datasync-docker-'));
  const run = (line: string, environment: NodeJS.ProcessEnv = ENVIRONMENT): string => {
    const { status, stdout, stderr } = spawnSync('sh', ['-c', line], {
      cwd: folder,
      env: environment,
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
    });
    assert.equal(status, 0, `${line}\n${stdout}\n${stderr}`);
    return stdout;
  };
  t.after(async () => {
    spawnSync('docker', ['compose', 'down', '--volumes'], { cwd: folder, env: ENVIRONMENT });
    await rm(folder, { recursive: true, force: true });
  });
  for (const file of FILES) await cp(join(PROJECT_FOLDER, file), join(folder, file), { recursive: true });
  await writeFile(join(folder, 'docker-compose.test.yml'), OVERRIDE);
  run('docker compose up --detach --build --wait simulator');

  run('echo "TARGET_API_KEY=your_api_key_here" > .env');
  assert.match(run('sh run-ingestion.sh'), new RegExp(`Complete: [^]*inserted ${EVENTS},`));
  run('docker exec assignment-ingestion npm run export-ids');
  run('docker cp assignment-ingestion:/app/event_ids.txt .');
  const ids = (await readFile(join(folder, 'event_ids.txt'), 'utf8')).trimEnd().split('\n');
  assert.equal(new Set(ids).size, EVENTS);
  // The last line asks for a confirmation in a terminal; there is none here, so --yes gives it.
  const submitted = run('./submit.sh --yes https://github.com/yourusername/your-repo', {
    ...ENVIRONMENT,
    API_BASE_URL: `http://127.0.0.1:${SIMULATOR_PORT}/api/v1`,
  });
  assert.match(submitted, /as many as rows in the database/);
  assert.match(submitted, new RegExp(`ids received: ${EVENTS}`));

  // The container stays up for docker exec, answers its health check, and ends at once when it is stopped.
  assert.equal(run("docker inspect --format '{{.State.Status}}' assignment-ingestion").trim(), 'running');
  run(
    `docker exec assignment-ingestion node -e "fetch('http://127.0.0.1:8080/health').then((a) => process.exit(a.ok ? 0 : 1))"`,
  );
  run('docker compose stop ingestion');
  assert.equal(run("docker inspect --format '{{.State.ExitCode}}' assignment-ingestion").trim(), '0');
});
