/**
 * Which operating system account runs the embedded server, and what that account can reach.
 *
 * PostgreSQL refuses to run as root. A job that runs as root (the usual case in a container) therefore hands the server
 * to an unprivileged account; everybody else runs it as they are.
 */
import { chmod, mkdir, readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ConfigurationError, describeError } from '../core/errors.ts';

export interface ServerAccount {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** For programs and clusters of root's projects whose folder is closed to the server's account. Only root can make it there. */
export const SHARED_FOLDER = '/var/lib/datasync-ingestion';
/** Where version 1.0.0 put a cluster when it could not write to the shared folder: still found, no longer made there. */
export const FORMER_SHARED_FOLDER = '/var/tmp/datasync-ingestion';

const EXECUTE_BY_OTHERS = 0o001;
const EXECUTE_BY_GROUP = 0o010;
const EXECUTE_BY_OWNER = 0o100;

/**
 * The account to run the server as; `null` means the job's own.
 * @param existingCluster a cluster that is already there keeps its owner: another account could not read it.
 * @throws ConfigurationError when we are root and there is no other account at all.
 */
export async function serverAccount(existingCluster: string | null): Promise<ServerAccount | null> {
  if (process.getuid?.() !== 0) return null;
  const accounts = await unprivilegedAccounts();
  if (existingCluster !== null) {
    const { uid } = await stat(existingCluster);
    const owner = accounts.find((account) => account.uid === uid);
    if (owner !== undefined) return owner;
    throw new ConfigurationError(
      `The embedded database in ${existingCluster} belongs to user number ${uid}, whom this machine does not know, ` +
        'so its server cannot be started. Give the folder to an ordinary user (chown -R), or set DATABASE_URL.',
    );
  }
  // initdb looks its own account up, so a bare number without an entry would not do.
  const named = (name: string): ServerAccount | undefined => accounts.find((account) => account.name === name);
  const account = named('postgres') ?? named('nobody') ?? accounts[0];
  if (account !== undefined) return account;
  throw new ConfigurationError(
    'The embedded database cannot run as root, and /etc/passwd names no other account. ' +
      'Add a user (useradd --system postgres), run as an ordinary user, or set DATABASE_URL.',
  );
}

async function unprivilegedAccounts(): Promise<ServerAccount[]> {
  const accounts: ServerAccount[] = [];
  for (const line of (await readFile('/etc/passwd', 'utf8')).split('\n')) {
    const [name, , uidText, gidText] = line.split(':');
    const uid = Number(uidText);
    const gid = Number(gidText);
    if (name && Number.isInteger(uid) && Number.isInteger(gid) && uid > 0) accounts.push({ name, uid, gid });
  }
  return accounts;
}

/**
 * Options for child_process that run one of PostgreSQL's programs as the account. The environment is all it gets: a
 * PGDATA, PGPORT, LC_ALL or LD_PRELOAD of the job's shell must not change what the cluster is. initdb needs a shell in PATH.
 */
export function programOptions(account: ServerAccount | null): {
  uid?: number;
  gid?: number;
  cwd: string;
  env: NodeJS.ProcessEnv;
} {
  const identity = account === null ? {} : { uid: account.uid, gid: account.gid };
  return { ...identity, cwd: '/', env: { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C' } };
}

/**
 * Whether the account may enter every folder above `path`. Judged by mode bits alone: an access list can only make the
 * answer too careful, and then the cluster merely lives elsewhere.
 */
export async function canReach(account: ServerAccount | null, path: string): Promise<boolean> {
  if (account === null) return true;
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const { mode, uid, gid } = await stat(folder);
    const needed = uid === account.uid ? EXECUTE_BY_OWNER : gid === account.gid ? EXECUTE_BY_GROUP : EXECUTE_BY_OTHERS;
    if ((mode & needed) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

/** Makes {@link SHARED_FOLDER}. Only called as root. */
export async function makeSharedFolder(): Promise<void> {
  try {
    await mkdir(SHARED_FOLDER, { recursive: true });
    // Not by mkdir's mode: a strict umask would close it again.
    await chmod(SHARED_FOLDER, 0o755);
  } catch (cause) {
    throw new ConfigurationError(
      `The embedded database runs as another user than root, who cannot enter this folder, and there is no place for it elsewhere: ` +
        `${describeError(cause)}. Open the project's folder to others (chmod o+x), or set DATABASE_URL.`,
      { cause },
    );
  }
}
