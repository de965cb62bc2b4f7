/** Loads suites and contenders: every file in their folders is one. */
import { readdir } from 'node:fs/promises';
import type { Contender } from './contender.ts';
import type { Suite } from './suite.ts';

export async function loadSuites(): Promise<Suite[]> {
  const modules = await loadFolder<{ suite: Suite }>('suites');
  return modules.map(({ suite }) => suite);
}

/** The floor first. */
export async function loadContenders(): Promise<Contender[]> {
  const modules = await loadFolder<{ contender: Contender }>('contenders');
  return modules.map(({ contender }) => contender).sort((a, b) => a.place - b.place);
}

async function loadFolder<M>(folder: string): Promise<M[]> {
  const url = new URL(`${folder}/`, import.meta.url);
  const files = (await readdir(url)).filter((file) => file.endsWith('.ts')).sort();
  return Promise.all(files.map(async (file) => (await import(new URL(file, url).href)) as M));
}
