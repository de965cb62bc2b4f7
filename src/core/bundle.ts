/**
 * A program as one JavaScript module. Loading that takes half of the time of 150 TypeScript modules and their packages. It is
 * kept in node_modules, under a hash of all that it is made of, so it is never older than its source.
 */
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
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

/** The module's file, made where it is missing; `null` where nothing can be kept. */
export function keptBundle(name: keyof typeof PROGRAMS): URL | null {
  try {
    const folder = new URL(`${hashOfInput()}/`, CACHE);
    if (!existsSync(folder)) makeBundles(folder);
    return new URL(`${name}.mjs`, folder);
  } catch {
    // A folder that belongs to somebody else, a full disk: the program works without, and begins a little later.
    return null;
  }
}

/** All of them. The folder appears whole: others may make the same one at the same time. */
function makeBundles(folder: URL): void {
  mkdirSync(CACHE, { recursive: true });
  removeOldBundles();
  const unfinished = new URL(`${randomUUID()}/`, CACHE);
  mkdirSync(unfinished);
  try {
    for (const [name, path] of Object.entries(PROGRAMS)) {
      writeFileSync(new URL(`${name}.mjs`, unfinished), bundleOf(new URL(path, PROJECT_FOLDER)));
    }
    renameSync(unfinished, folder);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
}

/** Of sources that have changed since; by their age, because another copy of the project may use them now. */
function removeOldBundles(): void {
  for (const name of readdirSync(CACHE)) {
    const folder = new URL(`${name}/`, CACHE);
    if (Date.now() - statSync(folder).mtimeMs > OLD_MS) rmSync(folder, { recursive: true, force: true });
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
      js: `import { createRequire as requireFrom } from 'node:module'; const require = requireFrom('${INSTALLED.href}');`,
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
