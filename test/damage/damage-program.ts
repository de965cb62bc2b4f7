/**
 * `npm run test:damage -- --pages 100000 --runs 500 [--seed 1] [--go-on]`: sources with random damage, one for each seed from
 * `--seed` on, held against what JSON.parse reads of each event's bytes. `--pages` go through the encoder in this process,
 * `--runs` are whole runs. A breach is told with the line that plays it again.
 */
import { parseArgs } from 'node:util';
import { TestCluster } from '../support/cluster.ts';
import { triedPage } from './tried-page.ts';
import { triedRun } from './tried-run.ts';

const { values } = parseArgs({
  options: {
    pages: { type: 'string', default: '10000' },
    runs: { type: 'string', default: '20' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    'go-on': { type: 'boolean', default: false },
  },
});

const MOST_SHOWN = 5;
/** Runs wait most of the time: each broken page is asked for again after a pause. */
const RUNS_AT_ONCE = 6;
const seed = Number(values.seed);

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function tell(what: string, again: string, breaches: readonly string[]): void {
  say(`BREACH: ${what}. To play it again: npm run test:damage -- ${again}`);
  for (const text of breaches.slice(0, MOST_SHOWN)) say(`  ${text}`);
}

async function pages(count: number): Promise<number> {
  let [breached, damaged, requests] = [0, 0, 0];
  for (let at = seed; at < seed + count && (breached === 0 || values['go-on']); at += 1) {
    const tried = await triedPage(at);
    damaged += tried.damaged;
    requests += tried.requests;
    if (tried.breaches.length === 0) continue;
    breached += 1;
    tell(`page ${at} (${tried.shape})`, `--pages 1 --runs 0 --seed ${at}`, tried.breaches);
  }
  say(`pages through the encoder: ${damaged} damaged events, ${requests} requests, ${breached} pages with a breach`);
  return breached;
}

async function runs(count: number): Promise<number> {
  if (count === 0) return 0;
  const cluster = await TestCluster.create();
  const proofs = new Map<string, number>();
  let breached = 0;
  let next = seed;
  const playOn = async (): Promise<void> => {
    while (next < seed + count && (breached === 0 || values['go-on'])) {
      const at = next;
      next += 1;
      const { shape, proof, breaches } = await triedRun(at, cluster);
      const kind = `${shape} by ${proof}`;
      proofs.set(kind, (proofs.get(kind) ?? 0) + 1);
      if (breaches.length === 0) continue;
      breached += 1;
      tell(`run ${at} (${shape})`, `--pages 0 --runs 1 --seed ${at}`, breaches);
    }
  };
  try {
    await Promise.all(Array.from({ length: RUNS_AT_ONCE }, playOn));
  } finally {
    await cluster.remove();
  }
  const proven = [...proofs].map(([kind, times]) => `${times} of ${kind}`);
  say(`whole runs, proven: ${proven.join(', ')}; ${breached} runs with a breach`);
  return breached;
}

say(`damage with seeds from ${seed} on`);
const breached = (await pages(Number(values.pages))) + (await runs(Number(values.runs)));
process.exitCode = breached === 0 ? 0 : 1;
