/**
 * The README's five lines with a real container engine, and what happens to containers: `npm run test:docker`. The tests follow
 * each other: each finds what the one before has left.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { z } from 'zod';
import { ComposedProject, whyNoDocker } from './composed-project.ts';

const EVENTS = 50_000;
const SIMULATOR_PORT = 18_787;
const KEY = 'your$api$$key';
const COUNT =
  'docker exec assignment-postgres psql -U postgres -d ingestion -t -c "SELECT COUNT(*) FROM ingested_events;"';
/** Slow enough to be killed in the middle, often. */
const SLOW = { BATCH_SIZE: '50', WORKER_CONCURRENCY: '2', MERGE_INTERVAL: '1', NEW_RUN: '1' };

/** The API, which submit.sh must reach from outside the containers. */
const SIMULATOR = `services:
  simulator:
    image: datasync-ingestion:1.0.0
    init: true
    command: [simulate, --host, 0.0.0.0, --port, '8787', --events, '${EVENTS}', --latency, '20', --key, ${KEY.replaceAll('$', '$$$$')}]
    healthcheck:
      test: [CMD, node, -e, "fetch('http://127.0.0.1:8787/health').then(() => process.exit(0), () => process.exit(1))"]
      interval: 1s
    ports: ['127.0.0.1:${SIMULATOR_PORT}:8787']
`;
/** The database as version 1.0.0 made it. */
const VERSION_1 = `services:
  postgres:
    environment: { POSTGRES_USER: ingestion, POSTGRES_PASSWORD: ingestion }
    healthcheck: { test: [CMD, pg_isready, --host=127.0.0.1, --username=ingestion] }
  ingestion:
    environment: { DATABASE_URL: postgresql://ingestion:ingestion@postgres:5432/ingestion }
`;
const READ_ONLY = `services:
  ingestion: { user: '12345:12345', read_only: true, tmpfs: [/tmp], mem_limit: 512m }
`;
const FILES = 'docker-compose.yml:simulator.yml';
const health = z.object({ waiting: z.string().nullable() });

describe('with a real container engine', { skip: whyNoDocker() }, () => {
  let project: ComposedProject;
  const run = (environment: Readonly<Record<string, string>> = {}) => project.ends('sh run-ingestion.sh', environment);
  const started = (): string => project.line("docker inspect --format '{{.State.StartedAt}}' assignment-ingestion");
  const rows = (): number => Number(project.line(COUNT));

  before(async () => {
    project = await ComposedProject.create({
      COMPOSE_PROJECT_NAME: 'datasync-ingestion-test',
      COMPOSE_FILE: FILES,
      POSTGRES_HOST_PORT: '15434',
      HTTP_HOST_PORT: '18080',
      DEMO_HTTP_HOST_PORT: '18081',
      API_BASE_URL: 'http://simulator:8787/api/v1',
    });
    await project.write('simulator.yml', SIMULATOR);
    await project.write('version-1.yml', VERSION_1);
    await project.write('read-only.yml', READ_ONLY);
    project.line('docker compose build ingestion');
    project.line('docker compose up --detach --wait simulator');
  });
  after(() => project.remove());

  it('ends with 2 without a key, with 3 when it is refused; a job that is refused stays up', async (t) => {
    t.diagnostic(project.engine());
    assert.equal(run().code, 2);
    await project.write('.env', 'TARGET_API_KEY=wrong\n');
    const { code, output } = run();
    assert.equal(code, 3, output);
    assert.match(output, /The API refuses the key/);
    assert.equal(project.line("docker inspect --format '{{.State.Status}}' assignment-ingestion"), 'running');
    project.line('docker compose down --volumes');
    project.line('docker compose up --detach --wait simulator');
  });

  it('takes the five lines of the README as they stand', async () => {
    project.line(`echo 'TARGET_API_KEY=${KEY}' > .env`);
    const { code, output } = run();
    assert.equal(code, 0, output);
    assert.match(output, /Complete: 50,000 events inserted/);
    assert.doesNotMatch(output, /variable is not set/);
    project.line('docker exec assignment-ingestion npm run export-ids');
    project.line('docker cp assignment-ingestion:/app/event_ids.txt .');
    assert.equal(new Set((await project.read('event_ids.txt')).trimEnd().split('\n')).size, EVENTS);
    // The last line asks for a confirmation in a terminal; there is none here, so --yes gives it.
    const submitted = project.line('./submit.sh --yes https://github.com/yourusername/your-repo', {
      API_BASE_URL: `http://127.0.0.1:${SIMULATOR_PORT}/api/v1`,
    });
    assert.match(submitted, /as many as rows in the database/);
    assert.match(submitted, new RegExp(`ids received: ${EVENTS}`));
    assert.equal(rows(), EVENTS);
  });

  it('takes a second run when the first has ended, and keeps the rows over down and up', () => {
    const first = started();
    const { code, output } = run();
    assert.equal(code, 0, output);
    assert.match(output, /Complete: 0 events inserted/);
    assert.notEqual(started(), first);
    project.line('docker compose down');
    project.line('docker compose up --detach --wait postgres simulator');
    assert.equal(rows(), EVENTS);
  });

  it('can be stopped in its first second, and in the middle, where the script ends with 143', async (t) => {
    project.line('docker compose up --detach ingestion');
    const beginMs = performance.now();
    project.line('docker stop assignment-ingestion');
    assert.ok(performance.now() - beginMs < 5_000);
    assert.equal(project.line("docker inspect --format '{{.State.ExitCode}}' assignment-ingestion"), '143');
    project.line('docker compose down --volumes && docker compose up --detach --wait simulator');
    const watched = project.start(t, 'sh run-ingestion.sh', SLOW);
    await project.untilLogged('"msg":"merged"');
    project.line('docker compose stop ingestion');
    const { code, output } = await watched.end();
    assert.equal(code, 143, output);
    assert.ok(rows() < EVENTS);
    project.line(
      'docker exec assignment-postgres psql -U postgres -d ingestion -Atc "SELECT id FROM ingested_events" >event_ids.txt',
    );
    assert.equal(project.ends('./submit.sh --yes https://github.com/yourusername/your-repo').code, 7);
  });

  it('goes on after a kill of the job and a crash of the database, and waits for it no longer than it is away', async (t) => {
    project.line('docker compose down --volumes && docker compose up --detach --wait simulator');
    const watched = project.start(t, 'sh run-ingestion.sh', SLOW);
    await project.untilLogged('"msg":"merged"');
    project.line("docker exec assignment-ingestion sh -c 'kill -9 -1'");
    await project.untilLogged('going on with the unfinished run');
    await project.untilLogged('"msg":"merged"');
    project.line("docker exec --user postgres assignment-postgres sh -c 'kill -9 -1'");
    await project.untilLogged('PostgreSQL recovered from a crash');
    await project.untilLogged('"msg":"database is back"');
    const ask = `fetch('http://127.0.0.1:8080/health').then((answer) => answer.text()).then(console.log)`;
    const answer = health.parse(JSON.parse(project.line(`docker exec assignment-ingestion node -e "${ask}"`)));
    assert.doesNotMatch(answer.waiting ?? '', /^database/);
    const { code, output } = await watched.end();
    assert.equal(code, 0, output);
    assert.match(output, /The job failed; Docker has started it again/);
    assert.equal(rows(), EVENTS);
  });

  it('goes on with a volume of version 1.0.0, its rows and its unfinished run', async (t) => {
    const version1 = { COMPOSE_FILE: `${FILES}:version-1.yml` };
    project.line('docker compose down --volumes && docker compose up --detach --wait simulator');
    const watched = project.start(t, 'sh run-ingestion.sh', { ...SLOW, ...version1 });
    await project.untilLogged('"msg":"merged"');
    project.line('docker compose stop ingestion', version1);
    assert.equal((await watched.end()).code, 143);
    project.line('docker compose down', version1);
    project.line('docker compose up --detach --wait simulator');
    const { code, output } = run();
    assert.equal(code, 0, output);
    assert.match(output, /going on with the unfinished run/);
    assert.equal(rows(), EVENTS);
  });

  it('works read-only, as any user, in 512 MB', () => {
    const { code, output } = run({ COMPOSE_FILE: `${FILES}:read-only.yml` });
    assert.equal(code, 0, output);
    project.line('docker exec assignment-ingestion npm run export-ids -- --output /tmp/event_ids.txt');
    project.line('docker exec assignment-ingestion cat /tmp/event_ids.txt >event_ids.txt');
    assert.equal(project.line('sort -u event_ids.txt | wc -l'), String(EVENTS));
  });

  it('builds with the npm settings that NPMRC names, and leaves them out of the image', async () => {
    await project.write('company.npmrc', 'registry=http://127.0.0.1:9/\nfetch-retries=0\n');
    const { code, output } = project.ends('docker compose build --no-cache ingestion', { NPMRC: 'company.npmrc' });
    assert.notEqual(code, 0);
    assert.match(output, /127\.0\.0\.1:9/);
    const look = 'docker run --rm --user root --entrypoint ls datasync-ingestion:1.0.0 -A /root';
    assert.doesNotMatch(project.line(look), /npmrc/);
  });

  it('shows everything without a key, and nothing of the demo is left when it ends', async (t) => {
    const demo = project.start(t, 'docker compose --profile demo up ingestion-demo');
    const container = 'datasync-ingestion-test-ingestion-demo-1';
    await project.untilLogged('"exit_code":', container);
    demo.interrupt();
    const { output } = await demo.end();
    assert.match(output, /"inserted":300000[^]*"msg":"ingestion complete"/);
    assert.equal(project.line('docker compose --profile demo ps --quiet --status running ingestion-demo'), '');
  });
});
