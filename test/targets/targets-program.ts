/**
 * `npm run test:targets -- --targets 1000 --seed 1 [--go-on] [--at-once 2]`: random targets, one for each seed from `--seed` on. A
 * breach is told with the line that plays it again; `--replay` with a draw plays that one, and shows its logs.
 */
import { parseArgs } from 'node:util';
import { TestCluster } from '../support/cluster.ts';
import { drawOf, type Draw } from './drawing.ts';
import { tryTarget, type Tried } from './trial.ts';

const { values } = parseArgs({
  options: {
    targets: { type: 'string', default: '100' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    'go-on': { type: 'boolean', default: false },
    'at-once': { type: 'string', default: '2' },
    replay: { type: 'string' },
    log: { type: 'boolean', default: false },
  },
});

/** A long run says how far it is. */
const TELL_EVERY = 25;
/** From so many on a target has refused many. */
const MANY = 20;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function tell(draw: Draw, { breach, parts, ends }: Tried): void {
  say(`  ${draw.form}, ${draw.idType}, ${draw.role}, ${JSON.stringify(draw.others)}: ${parts.join('; ')}`);
  say(`  ${JSON.stringify(draw.source)} ${JSON.stringify(draw.load)}`);
  for (const { what, end } of ends) {
    say(`  ${what}: ${end.code}, ${end.message}`);
    if (values.log) say(end.log.map((line) => `    ${line}`).join('\n'));
  }
  say(`  ${breach === null ? 'the law holds' : `${breach.kind}: ${breach.text}`}`);
}

/** What cannot be played at all is a fault of the test. */
async function played(cluster: TestCluster, name: string, draw: Draw): Promise<Tried> {
  try {
    return await tryTarget(cluster, name, draw);
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { breach: { kind: 'not played', text }, parts: [], ends: [], refused: 0 };
  }
}

async function search(cluster: TestCluster): Promise<number> {
  const kinds = new Map<string, number>();
  const from = Number(values.seed);
  const upTo = from + Number(values.targets);
  const startedMs = performance.now();
  let next = from;
  let count = 0;
  let withMany = 0;
  const playOn = async (): Promise<void> => {
    while (next < upTo && (values['go-on'] || kinds.size === 0)) {
      const seed = next;
      next += 1;
      const draw = drawOf(seed);
      const tried = await played(cluster, `target_${seed}`, draw);
      count += 1;
      if (tried.refused >= MANY) withMany += 1;
      if (count % TELL_EVERY === 0) say(`${count} targets so far, ${withMany} refused ${MANY} events or more`);
      if (tried.breach === null) continue;
      kinds.set(tried.breach.kind, (kinds.get(tried.breach.kind) ?? 0) + 1);
      say(`BREACH with seed ${seed}: ${tried.breach.kind}`);
      tell(draw, tried);
      say(`  to play it again: npm run test:targets -- --targets 1 --seed ${seed}`);
      say(`  or, changed: npm run test:targets -- --replay '${JSON.stringify(draw).replaceAll("'", `'\\''`)}'`);
    }
  };
  say(`targets with seeds ${from} to ${upTo - 1}`);
  await Promise.all(Array.from({ length: Number(values['at-once']) }, playOn));
  const seconds = (performance.now() - startedMs) / 1000;
  say(`${count} targets, ${withMany} refused ${MANY} events or more, ${seconds.toFixed(0)} s`);
  for (const [kind, times] of [...kinds].sort(([, a], [, b]) => b - a)) say(`${times} × ${kind}`);
  return kinds.size === 0 ? 0 : 1;
}

async function replay(cluster: TestCluster, text: string): Promise<number> {
  const draw = JSON.parse(text) as Draw;
  const tried = await played(cluster, 'target_again', draw);
  tell(draw, tried);
  return tried.breach === null ? 0 : 1;
}

const cluster = await TestCluster.create();
try {
  process.exitCode = await (values.replay === undefined ? search(cluster) : replay(cluster, values.replay));
} finally {
  await cluster.remove();
}
