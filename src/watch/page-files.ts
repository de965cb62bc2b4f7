/** The files of the live page, read once. All of them come from this machine: the page works without a network. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { PROJECT_FOLDER } from '../core/project.ts';

export interface PageFile {
  readonly contentType: string;
  readonly body: Buffer;
}

const HTML = 'text/html; charset=utf-8';
const SCRIPT = 'text/javascript; charset=utf-8';
const STYLE = 'text/css; charset=utf-8';
const ICON = 'image/svg+xml';

/** Path in the browser → file. A closed list: no path from outside ever reaches the disk. */
export function readPageFiles(): ReadonlyMap<string, PageFile> {
  const page = (name: string) => new URL(`src/watch/page/${name}`, PROJECT_FOLDER);
  // Its package exports only the CommonJS entry, which lies in the folder of what browsers need.
  const uplot = (name: string) => new URL(name, import.meta.resolve('uplot'));
  const files: readonly (readonly [string, string, URL])[] = [
    ['/', HTML, page('index.html')],
    ['/page.css', STYLE, page('page.css')],
    ['/page.js', SCRIPT, page('page.js')],
    ['/charts.js', SCRIPT, page('charts.js')],
    ['/history.js', SCRIPT, page('history.js')],
    ['/windows.js', SCRIPT, page('windows.js')],
    ['/texts.js', SCRIPT, page('texts.js')],
    ['/icon.svg', ICON, page('icon.svg')],
    ['/vendor/uPlot.js', SCRIPT, uplot('uPlot.esm.js')],
    ['/vendor/uPlot.css', STYLE, uplot('uPlot.min.css')],
  ];
  return new Map(
    files.map(([path, contentType, url]) => [path, { contentType, body: readFileSync(fileURLToPath(url)) }]),
  );
}
