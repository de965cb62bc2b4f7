/**
 * A worker's program as plain JavaScript. A worker that translates TypeScript itself needs a thread for tsx beside it and
 * takes 0.3 s of a core to start; one that is given a bundle takes a fifth of that.
 */
import { readFileSync } from 'node:fs';
import { bundleOf, keptBundle } from '../core/bundle.ts';
import { PROJECT_FOLDER } from '../core/project.ts';

const ENCODE_PAGE_WORKER = new URL('workers/encode-page.ts', PROJECT_FOLDER);

let encodePage: string | null = null;

/**
 * A `data:` URL of one module; what workers/start.mjs imports. With its text inside, it can be loaded as long as the process lives.
 * @param other for tests: another program
 */
export function bundledWorker(other?: URL): string {
  if (other !== undefined) return asUrl(bundleOf(other));
  if (encodePage === null) {
    const kept = keptBundle('encode-page');
    encodePage = asUrl(kept === null ? bundleOf(ENCODE_PAGE_WORKER) : readFileSync(kept));
  }
  return encodePage;
}

function asUrl(module: string | Buffer): string {
  return `data:text/javascript;base64,${Buffer.from(module).toString('base64')}`;
}
