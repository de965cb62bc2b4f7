/** The program as one module, which a start keeps in node_modules: what becomes of a start when something is wrong with it. */
import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { PROJECT_FOLDER, startProgram } from '../../support/processes.ts';

/** A copy of the project in a folder of this name, with nothing kept yet. */
async function projectIn(t: TestContext, name: string): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), 'datasync-bundle-'));
  t.after(() => rm(parent, { recursive: true, force: true }));
  const project = join(parent, name);
  const packages = join(project, 'node_modules');
  await mkdir(packages, { recursive: true });
  for (const part of ['src', 'workers', 'package.json', 'tsconfig.json']) {
    await cp(join(PROJECT_FOLDER, part), join(project, part), { recursive: true });
  }
  for (const entry of await readdir(join(PROJECT_FOLDER, 'node_modules'))) {
    if (entry !== '.cache') await symlink(join(PROJECT_FOLDER, 'node_modules', entry), join(packages, entry));
  }
  return project;
}

async function askForHelp(t: TestContext, project: string): Promise<void> {
  const program = startProgram(t, ['npm', 'start', '--silent', '--', '--help'], { cwd: project });
  const { code } = await program.waitForExit();
  assert.deepEqual([code, /Usage: npm start/.test(program.stdout)], [0, true], program.stderr);
}

const cacheOf = (project: string): string => join(project, 'node_modules/.cache/datasync-ingestion');

/** The folder of what it keeps. */
async function keptIn(project: string): Promise<string> {
  const [kept = '', ...more] = (await readdir(cacheOf(project))).filter((name) => !name.startsWith('.'));
  assert.deepEqual([kept.length, more], [16, []]);
  return join(cacheOf(project), kept);
}

test('a start keeps its program in a folder of any name, and makes it anew when it is not whole', async (t) => {
  const project = await projectIn(t, `o'brien "1" #2 100%`);
  // As a file manager leaves it.
  await mkdir(cacheOf(project), { recursive: true });
  await writeFile(join(cacheOf(project), '.DS_Store'), '');
  await askForHelp(t, project);
  const kept = await keptIn(project);
  const program = join(kept, 'program.mjs');
  const whole = await readFile(program);

  const damages: Readonly<Record<string, () => Promise<void>>> = {
    'a power cut has left it empty': () => writeFile(program, ''),
    'a power cut has left zeros': () => writeFile(program, Buffer.alloc(whole.length)),
    'it is cut short': () => writeFile(program, whole.subarray(0, whole.length / 2)),
    'somebody has tidied up': () => rm(program),
  };
  for (const [what, damage] of Object.entries(damages)) {
    await damage();
    await Promise.all([1, 2, 3].map(() => askForHelp(t, project)));
    assert.deepEqual(await readFile(program), whole, what);
    assert.deepEqual((await readdir(kept)).sort(), ['encode-page.mjs', 'program.mjs'], what);
  }
});
