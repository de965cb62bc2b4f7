/** `npm run export-ids` against a bare COPY … TO STDOUT. Each is a process of its own, measured from start to exit. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { runComparison } from '../comparison.ts';
import { JOB_CONNECTIONS } from '../contenders/this-project.ts';
import { RunningProgram, startScript } from '../measure/processes.ts';
import { BenchServer } from '../measure/server.ts';
import { Source } from '../measure/source.ts';
import { median, round } from '../results/statistics.ts';
import type { BenchContext, Suite } from '../suite.ts';

const PROMISED = 1.5;

export const suite: Suite = {
  name: 'export-ids',
  title: 'All ids into a file',
  byDefault: false,
  promisedAt: 3_000_000,
  run: async (context) => {
    const { events, tuned } = context.options;
    const server = await BenchServer.start(context.folder, { tuned });
    try {
      const batchFile = join(context.folder, 'batches');
      const source = await Source.start({ events, eventsLimit: 0 });
      try {
        await startScript('bench/programs/encode-beforehand.ts', [source.baseUrl, batchFile]).succeeded();
      } finally {
        await source.stop();
      }
      return await server.withDatabase(async (url) => {
        await runComparison('bench/programs/floor.ts', [url, batchFile, String(JOB_CONNECTIONS)]);
        return present(events, await measure(context, url));
      });
    } finally {
      await server.stop();
    }
  },
};

async function measure(context: BenchContext, url: string): Promise<{ bare: number[]; ours: number[] }> {
  const seconds = { bare: new Array<number>(), ours: new Array<number>() };
  const [bareFile, ourFile] = [join(context.folder, 'bare.txt'), join(context.folder, 'ids.txt')];
  for (let number = 1; number <= context.options.rounds; number += 1) {
    const bare = await startScript('bench/programs/bare-export.ts', [url, bareFile]).succeeded();
    seconds.bare.push((bare.endedAtMs - bare.startedAtMs) / 1000);
    // `--partial`: no run has filled the table, so none proves that these are all ids.
    const flags = ['--partial', '--output', ourFile];
    const program = new RunningProgram(['npm', 'run', '--silent', 'export-ids', '--', ...flags], {
      env: { DATABASE_URL: url },
    });
    const ours = await program.succeeded();
    seconds.ours.push((ours.endedAtMs - ours.startedAtMs) / 1000);
    context.say(
      `round ${number}: bare ${seconds.bare.at(-1)?.toFixed(2) ?? ''} s, ours ${seconds.ours.at(-1)?.toFixed(2) ?? ''} s`,
    );
  }
  if ((await digest(bareFile)) !== (await digest(ourFile))) throw new Error('the two files differ');
  return seconds;
}

async function digest(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
}

function present(events: number, seconds: { bare: number[]; ours: number[] }) {
  const [bare, ours] = [median(seconds.bare), median(seconds.ours)];
  return {
    tables: [
      {
        title: `${events} ids, medians of ${seconds.bare.length} rounds, start of the process to its exit`,
        columns: ['program', 'seconds', '÷ bare'],
        rows: [
          ['bare COPY (SELECT id …) TO STDOUT', round(bare), 1],
          ['npm run export-ids', round(ours), round(ours / bare)],
        ],
      },
    ],
    charts: [],
    checks: [
      {
        what: 'export-ids ÷ a bare COPY',
        target: `≤ ${PROMISED}`,
        measured: String(round(ours / bare)),
        holds: ours / bare <= PROMISED,
      },
    ],
    raw: seconds,
  };
}
