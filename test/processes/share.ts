/**
 * What `npm test` runs in one process. A process has loaded the program, started a PostgreSQL cluster and warmed up after three
 * seconds of a core: with one for each test file that was a third of the whole. Tests of one process run one after another.
 */
import { readdirSync } from 'node:fs';
import { after } from 'node:test';

const TESTS = new URL('../', import.meta.url);

/** A process whose tests are over and that does not end has something left open: it is named, and not waited for until the runner's timeout. */
const LINGERS_MS = 30_000;

/** Runs the test files of a folder; of several parts, which count from 1, each has every `of`-th file. */
export async function runShare(folder: string, { part, of } = { part: 1, of: 1 }): Promise<void> {
  after(() => {
    setTimeout(() => {
      process.stderr.write(
        `the tests of ${folder} (part ${part} of ${of}) are over and left open: ${process.getActiveResourcesInfo().join(', ')}\n`,
      );
      process.exit();
    }, LINGERS_MS).unref();
  });
  const imports = readdirSync(new URL(`${folder}/`, TESTS), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.test.ts'))
    .sort()
    .filter((_, index) => index % of === part - 1)
    .map((path) => `import ${JSON.stringify(new URL(`${folder}/${path}`, TESTS).href)};`);
  // One module that imports all: no test runs before every file is loaded.
  await import(`data:text/javascript,${encodeURIComponent(imports.join('\n'))}`);
}
