/** The compose profile `follow` with a real container engine, as operations.md tells it. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ComposedProject, whyNoDocker } from './composed-project.ts';

const KEY = 'follow-key';
const EVENTS = 2_000;
/** Its events are of now, and come two a second. */
const SIMULATOR = `services:
  simulator:
    image: datasync-ingestion:1.0.0
    init: true
    command: [simulate, --host, 0.0.0.0, --port, '8787', --events, '${EVENTS}', --arrivals, '2', --newest, '${Date.now()}', --key, ${KEY}]
    healthcheck:
      test: [CMD, node, -e, "fetch('http://127.0.0.1:8787/health').then(() => process.exit(0), () => process.exit(1))"]
      interval: 1s
`;
const CONTAINER = 'datasync-ingestion-follow-test-ingestion-follow-1';
const COMPOSE = 'docker compose --profile follow';
const ROWS = `docker exec assignment-postgres psql -U postgres -d ingestion -Atc 'SELECT count(*), count(DISTINCT id) FROM ingested_events'`;
const MAX_POLLS = 150;
const POLL_MS = 200;

describe('the profile follow with a real container engine', { skip: whyNoDocker() }, () => {
  let project: ComposedProject;
  const inspect = (what: string): string => project.line(`docker inspect --format '{{.${what}}}' ${CONTAINER}`);
  const rows = (): number => {
    const [all, distinct] = project.line(ROWS).split('|').map(Number);
    assert.equal(all, distinct);
    return all ?? 0;
  };
  const until = async (isSo: () => boolean): Promise<void> => {
    for (let poll = 0; poll < MAX_POLLS; poll += 1) {
      if (isSo()) return;
      await delay(POLL_MS);
    }
    assert.fail(project.ends(`docker logs ${CONTAINER}`).output);
  };

  before(async () => {
    project = await ComposedProject.create({
      COMPOSE_PROJECT_NAME: 'datasync-ingestion-follow-test',
      COMPOSE_FILE: 'docker-compose.yml:simulator.yml',
      POSTGRES_HOST_PORT: '15434',
      FOLLOW_HTTP_HOST_PORT: '18082',
      API_BASE_URL: 'http://simulator:8787/api/v1',
      TARGET_API_KEY: KEY,
      FOLLOW: '5s',
    });
    await project.write('simulator.yml', SIMULATOR);
    project.line('docker compose build ingestion');
    project.line('docker compose up --detach --wait simulator');
  });
  after(() => project.remove());

  it('starts without the job beside it, takes what is new, and is well', async (t) => {
    t.diagnostic(project.engine());
    project.line(`${COMPOSE} up -d postgres ingestion-follow`);
    await project.untilLogged('"msg":"complete; following what is new"', CONTAINER);
    const before = rows();
    assert.ok(before >= EVENTS);
    await until(() => rows() > before);
    await until(() => inspect('State.Health.Status') === 'healthy');
    assert.equal(project.ends('docker inspect assignment-ingestion').code, 1);
    assert.match(
      project.line(`${COMPOSE} exec ingestion-follow npm run --silent verify`),
      /The table has \d+ rows, as many/,
    );
  });

  it('is started again when it is killed, and goes on', async () => {
    const before = rows();
    project.line(`docker exec ${CONTAINER} sh -c 'kill -9 -1'`);
    await until(() => inspect('RestartCount') === '1' && rows() > before);
  });

  it('ends with 143 when it is stopped, with all in the table that it was served, and goes on when it is started', async () => {
    const beginMs = performance.now();
    project.line(`${COMPOSE} stop ingestion-follow`);
    assert.ok(performance.now() - beginMs < 12_000);
    assert.equal(inspect('State.ExitCode'), '143');
    assert.match(project.ends(`docker logs --tail 1 ${CONTAINER}`).output, /ingestion stopped; start again to go on/);
    const before = rows();
    project.line(`${COMPOSE} start ingestion-follow`);
    await until(() => rows() > before);
  });

  it('stays up with a key that is refused, and does not ask again and again', async () => {
    project.line(`${COMPOSE} up -d ingestion-follow`, { TARGET_API_KEY: 'wrong' });
    await project.untilLogged('still serving until stopped', CONTAINER);
    assert.deepEqual([inspect('State.Status'), inspect('RestartCount')], ['running', '0']);
    project.line(`${COMPOSE} stop ingestion-follow`);
    assert.equal(inspect('State.ExitCode'), '0');
  });
});
