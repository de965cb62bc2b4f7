/** A real PgBouncer in front of a cluster of tests: on a Unix socket in a folder of its own, gone when the test ends. */
import { existsSync } from 'node:fs';
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { serverAccount } from '../../src/embedded-postgres/account.ts';
import { startProgram, type Program } from './processes.ts';

const PROGRAM = '/usr/sbin/pgbouncer';
/** For tests that need it: `false`, or why they are skipped. */
export const SKIP_WITHOUT_PGBOUNCER = existsSync(PROGRAM) ? false : `${PROGRAM} is not installed`;

/** It names the socket, no more. */
const PORT = 6432;
export interface Pooler {
  /** The database's address through the pooler. */
  readonly url: string;
  readonly program: Program;
}

/** Starts one with its own defaults. @param settings of its section `pgbouncer` */
export async function pgbouncer(
  t: TestContext,
  databaseUrl: string,
  settings: Readonly<Record<string, string | number>> = {},
): Promise<Pooler> {
  const { username, password, hostname, port, pathname } = new URL(databaseUrl);
  const folder = await mkdtemp(join(tmpdir(), 'datasync-pooler-'));
  // It must not run as root, and whoever connects must reach its socket.
  const account = await serverAccount(null);
  if (account !== null) await chown(folder, account.uid, account.gid);
  await chmod(folder, 0o755);
  const users = join(folder, 'users.txt');
  await writeFile(users, `"${username}" "${decodeURIComponent(password)}"\n`);
  const config = join(folder, 'pgbouncer.ini');
  const all = { listen_port: PORT, unix_socket_dir: folder, auth_type: 'trust', auth_file: users, ...settings };
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`);
  await writeFile(config, ['[databases]', `* = host=${hostname} port=${port}`, '[pgbouncer]', ...lines, ''].join('\n'));
  const identity = account === null ? {} : { uid: account.uid, gid: account.gid };
  // It dies with the test process, however that one ends.
  const command = ['setpriv', '--pdeathsig', 'KILL', PROGRAM, config] as const;
  const program = startProgram(t, [...command], { cwd: '/', ...identity });
  t.after(() => rm(folder, { recursive: true, force: true }));
  await program.waitFor(() => program.stderr.includes('process up'), 'PgBouncer to be up');
  const url = new URL(`postgresql://${username}:${password}@localhost:${PORT}${pathname}`);
  url.searchParams.set('host', folder);
  return { url: url.href, program };
}
