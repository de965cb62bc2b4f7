/**
 * Which operating system account runs the embedded server, and what that account can reach.
 *
 * PostgreSQL refuses to run as root. A job that runs as root (the usual case in a container) therefore hands the server
 * to an unprivileged account; everybody else runs it as they are.
 */
import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ConfigurationError } from '../core/errors.ts';

export interface ServerAccount {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Tried in this order. initdb looks its own account up, so a bare number without an entry would not do. */
const PREFERRED_ACCOUNTS = ['postgres', 'nobody'];

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
    const owner = await stat(existingCluster);
    const known = accounts.find((account) => account.uid === owner.uid);
    if (known !== undefined) return known;
    throw new ConfigurationError(
      `The embedded database in ${existingCluster} belongs to user number ${owner.uid}, whom this machine does not know, ` +
        'so its server cannot be started. Give the folder to an ordinary user (chown -R), or set DATABASE_URL.',
    );
  }
  for (const name of PREFERRED_ACCOUNTS) {
    const account = accounts.find((candidate) => candidate.name === name);
    if (account !== undefined) return account;
  }
  const [first] = accounts;
  if (first !== undefined) return first;
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

/** Options for child_process that make the child run as the account. */
export function asAccount(account: ServerAccount | null): { uid: number; gid: number } | Record<string, never> {
  return account === null ? {} : { uid: account.uid, gid: account.gid };
}
