/**
 * A program as one JavaScript module. Loading that takes half of the time of 150 TypeScript modules and their packages. It is
 * kept in node_modules, under a hash of its source and of what npm has installed. Files of packages are not read for that: who
 * changes one by hand removes node_modules/.cache, too.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { PROJECT_FOLDER } from './project.ts';

const CACHE = new URL('node_modules/.cache/datasync-ingestion/', PROJECT_FOLDER);
const SOURCE_FOLDERS = ['src/', 'workers/'];
const PROGRAMS = { program: 'src/program.ts', 'encode-page': 'workers/encode-page.ts' };
/** What npm has installed. */
const INSTALLED = new URL('node_modules/.package-lock.json', PROJECT_FOLDER);
/** They find files beside their own. */
const APART = ['esbuild', 'piscina'];
/** Is not installed: `pg` does without. */
const ABSENT = 'pg-native';
const OLD_MS = 7 * 86_400_000;
/** Ends each file. What a power cut leaves of one may have nothing in it, and an empty program does nothing, with code 0. */
const END = Buffer.from('//# whole\n');

/** The module's file, made where it is missing; `null` where nothing can be kept. */
export function keptBundle(name: keyof typeof PROGRAMS): URL | null {
  try {
    const folder = new URL(`${hashOfInput()}/`, CACHE);
    const file = new URL(`${name}.mjs`, folder);
    if (!isWhole(file)) makeBundles(folder);
    return file;
  } catch {
    // A folder that belongs to somebody else, a full disk: the program works without, and begins a little later.
    return null;
  }
}

/** False too where it cannot be read: another user with a strict umask has made it. */
function isWhole(file: URL): boolean {
  try {
    return readFileSync(file).subarray(-END.length).equals(END);
  } catch {
    return false;
  }
}

/** All of them. Each file appears whole, in place of what is there: others may make the same ones at the same time, or load them. */
function makeBundles(folder: URL): void {
  mkdirSync(CACHE, { recursive: true });
  removeOldBundles();
  mkdirSync(folder, { recursive: true });
  for (const [name, path] of Object.entries(PROGRAMS)) {
    const unfinished = new URL(`${randomUUID()}.unfinished`, folder);
    try {
      writeFileSync(unfinished, `${bundleOf(new URL(path, PROJECT_FOLDER))}${END.toString()}`);
      renameSync(unfinished, new URL(`${name}.mjs`, folder));
    } finally {
      rmSync(unfinished, { force: true });
    }
  }
}

/** Of sources that have changed since; by their age, because another copy of the project may use them now. */
function removeOldBundles(): void {
  for (const name of readdirSync(CACHE)) {
    const folder = new URL(`${name}/`, CACHE);
    try {
      if (Date.now() - statSync(folder).mtimeMs > OLD_MS) rmSync(folder, { recursive: true, force: true });
    } catch {
      // No folder, gone already, or somebody else's: it stays.
    }
  }
}

/** The module's text. It can be loaded from anywhere, as long as the project stays where it is. */
export function bundleOf(entry: URL): string {
  const { outputFiles } = buildSync({
    entryPoints: [fileURLToPath(entry)],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'silent',
    legalComments: 'none',
    define: { 'import.meta.url': JSON.stringify(new URL('src/core/project.ts', PROJECT_FOLDER)) },
    // Packages that are no ES modules require what belongs to Node.
    banner: {
      js: `import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(${JSON.stringify(INSTALLED.href)});`,
    },
    alias: Object.fromEntries(APART.map((name) => [name, import.meta.resolve(name)])),
    external: ['file:*', ABSENT],
  });
  return outputFiles[0]?.text ?? '';
}

function hashOfInput(): string {
  const hash = createHash('sha256').update(`${process.version} ${PROJECT_FOLDER.href}`).update(readFileSync(INSTALLED));
  for (const folder of SOURCE_FOLDERS) {
    const url = new URL(folder, PROJECT_FOLDER);
    const files = readdirSync(url, { recursive: true, encoding: 'utf8' }).filter((name) => /\.[jt]s$/.test(name));
    for (const name of files.sort()) hash.update(name).update(readFileSync(new URL(name, url)));
  }
  return hash.digest('hex').slice(0, 16);
}
