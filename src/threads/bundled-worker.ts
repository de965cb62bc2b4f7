/**
 * A worker's program as plain JavaScript. A worker that translates TypeScript itself needs a thread for tsx beside it and
 * takes 0.3 s of a core to start; one that is given a bundle takes a fifth of that.
 */
import { fileURLToPath } from 'node:url';

import { buildSync } from 'esbuild';

const bundles = new Map<string, string>();

/** @returns a `data:` URL of one module; what workers/start.mjs imports. Made once a process for each `entry`. */
export function bundledWorker(entry: URL): string {
  const known = bundles.get(entry.href);
  if (known !== undefined) return known;
  const { outputFiles } = buildSync({
    entryPoints: [fileURLToPath(entry)],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: 'inline',
    sourcesContent: false,
    // A `data:` module resolves no bare names.
    alias: { piscina: import.meta.resolve('piscina') },
    external: ['file:*'],
  });
  const url = `data:text/javascript;base64,${Buffer.from(outputFiles[0]?.contents ?? []).toString('base64')}`;
  bundles.set(entry.href, url);
  return url;
}
