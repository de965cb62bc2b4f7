/** `npm run docs`: writes what the documents say of settings, exit codes and figures, from where it is defined. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PROJECT_FOLDER, renderDocuments } from './documents.ts';

for (const [file, text] of await renderDocuments()) {
  await writeFile(join(PROJECT_FOLDER, file), text);
  process.stdout.write(`${file}\n`);
}
