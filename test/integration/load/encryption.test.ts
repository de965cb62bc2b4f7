/** `sslmode` against servers with and without TLS, and refusals that no waiting can change. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chown, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { pino } from 'pino';
import { ConfigurationError } from '../../../src/core/errors.ts';
import { Database } from '../../../src/load/postgres/database.ts';
import { testCluster, testDatabase, type TestCluster } from '../../support/database.ts';

/** A first contact that is tried again and again takes 15 s. */
const AT_ONCE_MS = 5_000;
const ENCRYPTED = { skip: spawnSync('openssl', ['version']).status === 0 ? false : 'openssl makes the certificate' };

/** Whether a connection made with this address is encrypted. @throws as Database.open does */
async function isEncrypted(t: TestContext, url: string): Promise<boolean> {
  const logger = pino({ enabled: false });
  const db = await Database.open({ url, copyConnections: 1, applicationName: 'test', logger, maxWaitMs: 1_000 });
  t.after(() => db.close());
  const { rows } = await db.query<{ ssl: boolean }>('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
  return rows[0]?.ssl === true;
}

async function assertRefusedAtOnce(t: TestContext, url: string, reason: RegExp): Promise<void> {
  const startedMs = performance.now();
  await assert.rejects(isEncrypted(t, url), (error) => {
    assert.ok(error instanceof ConfigurationError, String(error));
    assert.match(error.message, reason);
    return true;
  });
  assert.ok(performance.now() - startedMs < AT_ONCE_MS, 'it was tried again');
}

void test('a server without TLS: prefer and allow do without, require is refused at once', async (t) => {
  const { url } = await testDatabase(t);
  for (const mode of ['disable', 'allow', 'prefer'])
    assert.equal(await isEncrypted(t, `${url}?sslmode=${mode}`), false, mode);
  for (const query of ['sslmode=require', 'sslmode=verify-full', 'sslrootcert=system'])
    await assertRefusedAtOnce(t, `${url}?${query}`, /does not support SSL/);
});

void test('a password that is missing or wrong is refused at once', async (t) => {
  const { url } = await testDatabase(t);
  for (const [password, reason] of [
    ['', /password must be a/],
    ['wrong', /password authentication failed/],
  ] as const) {
    const address = new URL(url);
    address.password = password;
    await assertRefusedAtOnce(t, address.href, reason);
  }
});

/** A certificate for 127.0.0.1, signed by itself. @returns the path of the certificate */
async function encrypt(cluster: TestCluster): Promise<string> {
  const [certificate, key] = [join(cluster.dataDir, 'server.crt'), join(cluster.dataDir, 'server.key')];
  const subject = ['-subj', '/CN=test', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const made = spawnSync('openssl', ['req', ...kind, ...subject, '-keyout', key, '-out', certificate], {
    encoding: 'utf8',
  });
  assert.equal(made.status, 0, made.stderr);
  const { uid, gid } = await stat(cluster.dataDir);
  for (const path of [certificate, key]) await chown(path, uid, gid);
  await cluster.query('ALTER SYSTEM SET ssl = on');
  await cluster.restart();
  return certificate;
}

void test(
  'a server with TLS: prefer takes it, allow takes it where nothing else is allowed, and authorities are checked',
  ENCRYPTED,
  async (t) => {
    const cluster = await testCluster(t);
    const url = cluster.urlFor('postgres');
    const certificate = await encrypt(cluster);
    for (const [mode, encrypted] of [
      ['prefer', true],
      ['allow', false],
      ['require', true],
    ] as const)
      assert.equal(await isEncrypted(t, `${url}?sslmode=${mode}`), encrypted, mode);
    assert.equal(await isEncrypted(t, `${url}?sslmode=verify-full&sslrootcert=${certificate}`), true);
    await assertRefusedAtOnce(t, `${url}?sslrootcert=system`, /self-signed/);

    await takeOnly(cluster, 'hostssl');
    assert.equal(await isEncrypted(t, `${url}?sslmode=allow`), true);
    await assertRefusedAtOnce(t, `${url}?sslmode=disable`, /no encryption/);

    await takeOnly(cluster, 'hostnossl');
    assert.equal(await isEncrypted(t, `${url}?sslmode=prefer`), false);
    await assertRefusedAtOnce(t, `${url}?sslmode=require`, /SSL encryption/);
  },
);

async function takeOnly(cluster: TestCluster, kind: 'hostssl' | 'hostnossl'): Promise<void> {
  await writeFile(join(cluster.dataDir, 'pg_hba.conf'), `${kind} all all all scram-sha-256\n`);
  await cluster.restart();
}
