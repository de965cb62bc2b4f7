/** The documents as tests look at them: fenced blocks, inline code, links, headings. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT_FOLDER } from '../support/processes.ts';

export interface Document {
  /** From the project's folder. */
  readonly path: string;
  readonly text: string;
}

export function readDocuments(): Document[] {
  const markdown = (folder: string): string[] =>
    readdirSync(join(PROJECT_FOLDER, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(folder, name));
  return [...markdown('.'), ...markdown('docs')].map((path) => ({
    path,
    text: readFileSync(join(PROJECT_FOLDER, path), 'utf8'),
  }));
}

/** Lines of the shell blocks, without comments. */
export function shellCommands({ text }: Document): string[] {
  return [...text.matchAll(/^```sh\n([^]*?)^```$/gm)].flatMap(([, block = '']) =>
    block
      .split('\n')
      .map((line) => line.replace(/\s+#.*$/, '').trim())
      .filter((line) => line !== ''),
  );
}

/** Inline code outside of fenced blocks. */
export function inlineCode({ text }: Document): string[] {
  return [...withoutBlocks(text).matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
}

export function links({ text }: Document): string[] {
  return [...withoutBlocks(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
}

/** Anchors of the headings, as code hosts make them. */
export function anchors({ text }: Document): string[] {
  return [...withoutBlocks(text).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

function withoutBlocks(text: string): string {
  return text.replaceAll(/^```[^]*?^```$/gm, '');
}
