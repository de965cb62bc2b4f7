/**
 * `npm run test:descriptions -- --cases 2000 --seed 1 [--go-on] [--shrink 30] [--at-once 3]`: random descriptions, each with the API that
 * it describes, records and faults, one for each seed from `--seed` on. `--replay FILE` plays the case of a file that an earlier
 * run has written, and shows everything.
 */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { TestCluster } from '../support/cluster.ts';
import type { Case } from './drawn-case.ts';
import { Machine, type Finding } from './machine.ts';
import { tellCase, tellPlayed } from './story.ts';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '100' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    'go-on': { type: 'boolean', default: false },
    shrink: { type: 'string', default: '30' },
    'at-once': { type: 'string', default: '3' },
    replay: { type: 'string' },
  },
});

/** A long run says how far it is. */
const TELL_EVERY = 50;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function replay(machine: Machine, file: string): Promise<number> {
  const drawn = JSON.parse(await readFile(file, 'utf8')) as Case;
  const played = await machine.play(drawn);
  say(`${tellCase(drawn)}\n${tellPlayed(played, { log: true })}`);
  return played.breach === null ? 0 : 1;
}

function tellFinding({ seed, shrunk }: Finding): void {
  say(`BREACH with seed ${seed}: ${shrunk.played.breach?.kind ?? ''}`);
  say(`${tellCase(shrunk.drawn)}\n${tellPlayed(shrunk.played, { log: false })}`);
  say(`to play it again, put this line into a file for --replay:\n${JSON.stringify(shrunk.drawn)}`);
  say(`as it was drawn: npm run test:descriptions -- --cases 1 --seed ${seed}`);
}

async function search(machine: Machine): Promise<number> {
  const kinds = new Map<string, number>();
  const codes = new Map<number, number>();
  const from = Number(values.seed);
  const count = Number(values.cases);
  const shrinkMs = Number(values.shrink) * 1000;
  const startedMs = performance.now();
  let next = from;
  let starts = 0;
  let played = 0;
  const playOn = async (): Promise<void> => {
    while (next < from + count && (values['go-on'] || kinds.size === 0)) {
      next += 1;
      const result = await machine.search(next - 1, shrinkMs);
      played += 1;
      starts += result.starts;
      for (const code of result.codes) codes.set(code, (codes.get(code) ?? 0) + 1);
      if (played % TELL_EVERY === 0) say(`${played} cases, ${starts} starts so far`);
      if (result.finding === null) continue;
      const kind = result.finding.played.breach?.kind ?? '';
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      tellFinding(result.finding);
    }
  };
  say(`descriptions with seeds ${from} to ${from + count - 1}`);
  // Starts wait more than they work: several cases share the time.
  await Promise.all(Array.from({ length: Number(values['at-once']) }, playOn));
  const seconds = (performance.now() - startedMs) / 1000;
  say(`${played} cases, ${starts} starts, ${seconds.toFixed(0)} s, ${(seconds / played).toFixed(2)} s each`);
  say(`codes: ${[...codes].map(([code, times]) => `${times} × ${code}`).join(', ')}`);
  for (const [kind, times] of [...kinds].sort(([, a], [, b]) => b - a)) say(`${times} × ${kind}`);
  return kinds.size === 0 ? 0 : 1;
}

const cluster = await TestCluster.create();
const machine = new Machine(cluster);
try {
  process.exitCode = await (values.replay !== undefined ? replay(machine, values.replay) : search(machine));
} finally {
  await cluster.remove();
}
