/**
 * `npm run test:histories -- --histories 2000 --seed 1 [--child] [--go-on] [--shrink 60] [--at-once 3]`: random histories, one
 * for each seed from `--seed` on. `--kept` plays the fixed ones. `--replay FILE` plays the history of a file that an earlier run has written, and shows everything.
 */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { TestCluster } from '../support/cluster.ts';
import type { History } from './history.ts';
import { KEPT, SLOW } from './kept.ts';
import { Machine, type Finding } from './machine.ts';
import { tellHistory, tellPlayed } from './story.ts';

const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '100' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    child: { type: 'boolean', default: false },
    'go-on': { type: 'boolean', default: false },
    shrink: { type: 'string', default: '60' },
    'at-once': { type: 'string', default: '3' },
    replay: { type: 'string' },
    kept: { type: 'boolean', default: false },
  },
});

/** A long run says how far it is. */
const TELL_EVERY = 50;

/** As it was before any history takes what its commands write. */
const write = process.stdout.write.bind(process.stdout);

function say(text: string): void {
  write(`${text}\n`);
}

async function replay(machine: Machine, file: string): Promise<number> {
  const history = JSON.parse(await readFile(file, 'utf8')) as History;
  const played = await machine.play(history, values.child);
  say(`${tellHistory(history)}\n${tellPlayed(played, { log: true })}`);
  return played.breach === null ? 0 : 1;
}

async function playKept(machine: Machine): Promise<number> {
  let breaches = 0;
  for (const [name, history] of Object.entries({ ...KEPT, ...SLOW })) {
    const { breach } = await machine.play(history, values.child);
    if (breach !== null) breaches += 1;
    say(`${name}: ${breach === null ? 'the law holds' : `BREACH: ${breach.kind}: ${breach.text}`}`);
  }
  return breaches === 0 ? 0 : 1;
}

function tellFinding({ seed, history, shrunk }: Finding): void {
  say(`BREACH with seed ${seed}: ${shrunk.played.breach?.kind ?? ''}`);
  say(`${tellHistory(shrunk.history)}\n${tellPlayed(shrunk.played, { log: false })}`);
  say(`to play it again, put this line into a file for --replay:\n${JSON.stringify(shrunk.history)}`);
  say(`as it was drawn: npm run test:histories -- --histories 1 --seed ${seed}${values.child ? ' --child' : ''}`);
  if (history !== shrunk.history) say(`(or --replay with ${JSON.stringify(history)})`);
}

async function search(machine: Machine): Promise<number> {
  const kinds = new Map<string, number>();
  const from = Number(values.seed);
  const count = Number(values.histories);
  const shrinkMs = values['go-on'] ? 0 : Number(values.shrink) * 1000;
  const startedMs = performance.now();
  let next = from;
  let starts = 0;
  let played = 0;
  const playOn = async (): Promise<void> => {
    while (next < from + count && (values['go-on'] || kinds.size === 0)) {
      next += 1;
      const result = await machine.search({ seed: next - 1, asProcess: values.child, shrinkMs });
      played += 1;
      starts += result.starts;
      if (played % TELL_EVERY === 0) say(`${played} histories, ${starts} starts so far`);
      if (result.finding === null) continue;
      const kind = result.finding.played.breach?.kind ?? '';
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      if (!values['go-on'] || kinds.get(kind) === 1) tellFinding(result.finding);
      else say(`seed ${result.finding.seed}: ${kind}`);
    }
  };
  say(`histories with seeds ${from} to ${from + count - 1}${values.child ? ', each start a process' : ''}`);
  // Starts wait more than they work: several histories share the time.
  await Promise.all(Array.from({ length: Number(values['at-once']) }, playOn));
  const seconds = (performance.now() - startedMs) / 1000;
  say(`${played} histories, ${starts} starts, ${seconds.toFixed(0)} s, ${(seconds / played).toFixed(2)} s each`);
  for (const [kind, times] of [...kinds].sort(([, a], [, b]) => b - a)) say(`${times} × ${kind}`);
  return kinds.size === 0 ? 0 : 1;
}

const cluster = await TestCluster.create();
const machine = new Machine(cluster);
try {
  if (values.replay !== undefined) process.exitCode = await replay(machine, values.replay);
  else process.exitCode = await (values.kept ? playKept(machine) : search(machine));
} finally {
  await cluster.remove();
}
