import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { validate } from 'dockerfile-utils';
import { parse } from 'yaml';
import { z } from 'zod';
import { commandLine, readSettings } from '../../src/core/config.ts';
import { SETTINGS } from '../../src/core/settings-table.ts';
import { PROJECT_FOLDER } from '../support/processes.ts';

const read = (path: string): string => readFileSync(join(PROJECT_FOLDER, path), 'utf8');
const dockerfile = read('Dockerfile');
const variables = new Set(SETTINGS.map((setting) => setting.variable));

const service = z.looseObject({
  image: z.string(),
  container_name: z.string().optional(),
  profiles: z.array(z.string()).optional(),
  restart: z.string().optional(),
  stop_grace_period: z.string().optional(),
  environment: z.record(z.string(), z.string().nullable()).optional(),
  ports: z.array(z.string()).optional(),
  volumes: z.array(z.string()).optional(),
  command: z.array(z.string()).optional(),
  depends_on: z.union([z.array(z.string()), z.record(z.string(), z.object({ condition: z.string() }))]).optional(),
  healthcheck: z.looseObject({ test: z.array(z.string()) }).optional(),
});
const compose = z
  .looseObject({
    services: z.record(z.string(), service),
    volumes: z.record(z.string(), z.unknown()),
    'x-settings': z.record(z.string(), z.null()),
  })
  .parse(parse(read('docker-compose.yml'), { merge: true }));

function serviceOf(name: string): z.infer<typeof service> {
  const found = compose.services[name];
  assert.ok(found !== undefined, name);
  return found;
}

test('the Dockerfile has nothing that a linter objects to', () => {
  assert.deepEqual(
    validate(dockerfile).map(({ message, range }) => ({ line: range.start.line + 1, message })),
    [],
  );
});

test('the compose file has nothing that a linter objects to, and is valid by its schema', () => {
  const linter = join(PROJECT_FOLDER, 'node_modules/dclint/bin/dclint.cjs');
  const { status, stdout } = spawnSync(process.execPath, [linter, 'docker-compose.yml', '--max-warnings', '0'], {
    cwd: PROJECT_FOLDER,
    encoding: 'utf8',
  });
  assert.equal(status, 0, stdout);
});

test('images are pinned by version', () => {
  const stages = [...dockerfile.matchAll(/^FROM \S+ AS (\S+)$/gm)].map(([, stage = '']) => stage);
  const images = [
    ...[...dockerfile.matchAll(/^FROM (\S+)/gm)]
      .map(([, image = '']) => image)
      .filter((name) => !stages.includes(name)),
    ...Object.values(compose.services).map(({ image }) => image),
  ];
  for (const image of images) assert.match(image, /^[a-z0-9-]+(\/[a-z0-9-]+)?:v?\d+\.\d+(\.\d+)?(-\w+)*$/);
});

test('an init comes before node, which does not listen for signals in its first moment, and ends processes of docker exec', () => {
  for (const name of ['ingestion', 'ingestion-follow', 'ingestion-demo'])
    assert.equal(serviceOf(name)['init'], true, name);
});

test('the image runs node itself, not as root, in /app', () => {
  assert.match(dockerfile, /^ENTRYPOINT \["node", "--import", "tsx", "src\/main\.ts"\]$/m);
  assert.match(dockerfile, /^USER node$/m);
  assert.match(dockerfile, /^WORKDIR \/app$/m);
  assert.match(dockerfile, /npm ci --omit=dev/);
});

test('what the Dockerfile copies is there, and let through to the build', () => {
  const ignore = read('.dockerignore').split('\n');
  assert.ok(ignore.includes('*'));
  for (const [, line = ''] of dockerfile.matchAll(/^COPY (?!--from)(.*)$/gm)) {
    for (const path of line.split(' ').slice(0, -1)) {
      assert.ok(existsSync(join(PROJECT_FOLDER, path)), path);
      assert.ok(ignore.includes(`!${path}`), path);
    }
  }
});

test('the program imports nothing that the image does not have', () => {
  const manifest = z.object({ dependencies: z.record(z.string(), z.string()) }).parse(JSON.parse(read('package.json')));
  const files = ['src', 'workers'].flatMap((folder) =>
    readdirSync(join(PROJECT_FOLDER, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(folder, name)),
  );
  for (const file of files) {
    for (const [, imported = ''] of read(file).matchAll(/^(?:import|export) (?!type).*?from '([^']+)';$/gm)) {
      if (imported.startsWith('node:')) continue;
      if (imported.startsWith('.')) {
        assert.ok(!/^(\.\.\/)+(test|bench|scripts)\//.test(imported), `${file} imports ${imported}`);
        continue;
      }
      const name = imported
        .split('/')
        .slice(0, imported.startsWith('@') ? 2 : 1)
        .join('/');
      assert.ok(name in manifest.dependencies, `${file} imports ${imported}`);
    }
  }
});

test('every variable that container files set is one that the program, or the image it is for, knows', () => {
  const environment = /^ENV ((?:.*\\\n)*.*)$/m.exec(dockerfile)?.[1] ?? '';
  for (const [, name = ''] of environment.matchAll(/(\w+)=/g))
    assert.ok(variables.has(name) || ['NODE_ENV', 'TSX_DISABLE_CACHE'].includes(name), name);
  for (const [name, { environment: set = {} }] of Object.entries(compose.services)) {
    const known = name.startsWith('postgres') ? /^POSTGRES_(DB|USER|PASSWORD|INITDB_ARGS)$/ : /^GF_[A-Z_]+$/;
    for (const variable of Object.keys(set)) {
      if (name.startsWith('ingestion')) assert.ok(variables.has(variable), `${name}: ${variable}`);
      else assert.match(variable, known);
    }
  }
});

test('every setting can be handed to the container, but for those that it decides itself', () => {
  // Where it serves, where its rows go, and how it logs; --reset asks for a confirmation that nobody could give.
  const own = [
    'DATABASE_URL',
    'DATA_DIR',
    'HTTP_HOST',
    'HTTP_PORT',
    'KEEP_SERVING',
    'LOG_FORMAT',
    'RESET',
    'ASSUME_YES',
  ];
  const handed = Object.keys(serviceOf('ingestion').environment ?? {});
  const missing = [...variables].filter((name) => !handed.includes(name) && !own.includes(name));
  assert.deepEqual(missing, []);
});

test('the settings that the compose file decides are ones that the program takes', () => {
  const command = commandLine('test', '', []);
  for (const [name, follow] of [
    ['ingestion', undefined],
    ['ingestion-follow', 30_000],
    ['ingestion-demo', undefined],
  ] as const) {
    const set = Object.entries(serviceOf(name).environment ?? {}).flatMap(([key, value]) =>
      value === null ? [] : [[key, value.replace(/^\$\{\w+:-(.*)\}$/, '$1')] as const],
    );
    const settings = readSettings(command, [], Object.fromEntries(set));
    assert.equal(settings.stay, true);
    assert.equal(settings.reset, false);
    assert.equal(settings.httpPort, 8080);
    assert.equal(settings.follow, follow);
  }
});

test('PostgreSQL is kept, safe, and waited for', () => {
  const postgres = serviceOf('postgres');
  assert.equal(postgres.container_name, 'assignment-postgres');
  const { POSTGRES_DB, POSTGRES_USER, POSTGRES_PASSWORD } = postgres.environment ?? {};
  assert.deepEqual([POSTGRES_DB, POSTGRES_USER, POSTGRES_PASSWORD], ['ingestion', 'postgres', 'postgres']);
  assert.deepEqual(postgres.ports, ['127.0.0.1:${POSTGRES_HOST_PORT:-5434}:5432']);
  const [volume = ''] = (postgres.volumes?.[0] ?? '').split(':');
  assert.ok(volume in compose.volumes);
  assert.doesNotMatch(read('docker-compose.yml'), /fsync|full_page_writes|synchronous_commit/);
  const ingestion = serviceOf('ingestion');
  assert.deepEqual(ingestion.depends_on, { postgres: { condition: 'service_healthy' } });
  assert.equal(ingestion.container_name, 'assignment-ingestion');
  assert.equal(ingestion.environment?.['DATABASE_URL'], 'postgresql://postgres:postgres@postgres:5432/ingestion');
  assert.equal(ingestion.restart, 'on-failure:3');
  assert.equal(ingestion.stop_grace_period, '30s');
});

test('what is beside the job starts neither the job nor its database', () => {
  for (const name of ['ingestion-demo', 'prometheus', 'grafana']) {
    const { depends_on: needs = [] } = serviceOf(name);
    assert.deepEqual(Array.isArray(needs) ? needs : Object.keys(needs), name === 'grafana' ? ['prometheus'] : []);
  }
});

test('no port is published beyond this machine, and only by default beside the job and its database', () => {
  for (const [name, { ports = [], profiles }] of Object.entries(compose.services)) {
    for (const port of ports) assert.match(port, /^127\.0\.0\.1:\$\{[A-Z_]+:-\d+\}:\d+$/, name);
    assert.equal(profiles === undefined, name === 'postgres' || name === 'ingestion', name);
  }
});

test('the health check ends 0 for an answer 200 and 1 for anything else', async (t) => {
  const inImage = z.array(z.string()).parse(JSON.parse(/HEALTHCHECK[^]*?CMD (\[.*\])$/m.exec(dockerfile)?.[1] ?? ''));
  const [, ...inCompose] = serviceOf('ingestion').healthcheck?.test ?? [];
  let status = 200;
  const server = createServer((request, response) => {
    response.writeHead(request.url === '/health' ? status : 404).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  const port = address === null || typeof address === 'string' ? 0 : address.port;
  const check = async (command: readonly string[], httpPort: number): Promise<unknown> => {
    const [, ...args] = command;
    const child = spawn(process.execPath, args, { env: { HTTP_PORT: String(httpPort) } });
    const [code] = (await once(child, 'exit')) as unknown[];
    return code;
  };
  for (const command of [inImage, inCompose]) {
    status = 200;
    assert.equal(await check(command, port), 0);
    status = 503;
    assert.equal(await check(command, port), 1);
  }
  assert.equal(await check(inImage, 1), 1);
});

test('files that the compose file mounts from this folder are there', () => {
  for (const { volumes = [] } of Object.values(compose.services)) {
    for (const [path = ''] of volumes.map((volume) => volume.split(':'))) {
      if (path.startsWith('./')) assert.ok(existsSync(join(PROJECT_FOLDER, path)), path);
    }
  }
});

test('what Prometheus asks are the services of the compose file that have metrics', () => {
  const config = z
    .looseObject({
      scrape_configs: z.array(
        z.looseObject({ static_configs: z.array(z.looseObject({ targets: z.array(z.string()) })) }),
      ),
    })
    .parse(parse(read('docker/prometheus/prometheus.yml')));
  const asked = config.scrape_configs.flatMap((job) => job.static_configs.flatMap((entry) => entry.targets));
  const serving = Object.entries(compose.services).flatMap(([name, { environment }]) => {
    const port = environment?.['HTTP_PORT'];
    return port === undefined ? [] : [`${name}:${port}`];
  });
  assert.deepEqual(asked, serving);
});
