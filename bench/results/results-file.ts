/** `bench/results/results.json`: the newest result of every suite, with the machine it was taken on. */
import { readFile, writeFile } from 'node:fs/promises';
import type { Machine } from '../measure/machine.ts';
import type { SuiteResult } from './result.ts';

const FILE = new URL('results.json', import.meta.url);

export interface KeptResult extends SuiteResult {
  readonly machine: Machine;
}

/** Replaces the results of the suites that were run, and keeps the others. */
export async function writeResults(machine: Machine, results: readonly SuiteResult[]): Promise<KeptResult[]> {
  const fresh = results.map((result) => ({ ...result, machine }));
  const names = new Set(fresh.map(({ suite }) => suite));
  const kept = (await readKept()).filter(({ suite }) => !names.has(suite));
  const all = [...kept, ...fresh].sort((a, b) => a.suite.localeCompare(b.suite));
  await writeFile(FILE, `${JSON.stringify(all, null, 1)}\n`);
  return all;
}

async function readKept(): Promise<KeptResult[]> {
  let text: string;
  try {
    text = await readFile(FILE, 'utf8');
  } catch {
    return [];
  }
  return JSON.parse(text) as KeptResult[];
}
