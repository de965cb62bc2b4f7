/**
 * `npm run bench`: finds the suites, runs each, prints tables, and writes results.json and report.html. It starts the
 * simulator and PostgreSQL itself, in a temporary folder that is removed at the end.
 */
import { rmSync } from 'node:fs';
import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { loadSuites } from './files.ts';
import { describeMachine, load } from './measure/machine.ts';
import { writeReport } from './results/report.ts';
import { withoutVerdict, type SuiteResult } from './results/result.ts';
import { writeResults } from './results/results-file.ts';
import type { BenchOptions, Suite } from './suite.ts';
import { printMachine, printSuite } from './results/terminal.ts';

/** With fewer events, the fixed cost of a run is most of it: at 250,000 events the ratio is 2.6. */
const QUICK_EVENTS = 1_700_000;

const positive = (text: string): number => {
  const value = Number(text.replaceAll('_', ''));
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('expected a whole number from 1 on');
  return value;
};

interface Flags extends BenchOptions {
  readonly suite?: string[];
  readonly report: boolean;
}

const suites = await loadSuites();
const command = new Command('npm run bench --')
  .description('Measures the job against PostgreSQL alone, and checks the promises of bench/README.md.')
  .option('--events <number>', 'events in the data set', positive, 1_000_000)
  .option('--rounds <number>', 'rounds of the floor and of this project', positive, 3)
  .addOption(new Option('--suite <name...>', 'runs only these suites').choices(suites.map(({ name }) => name)))
  .option(
    '--contenders <name...>',
    'contenders of the pipeline suite besides the floor and this project; "none" for no others',
  )
  .option('--tuned', 'PostgreSQL set up as the embedded one is, instead of as it comes', false)
  .option(
    '--quick',
    'a guard for a quiet machine, about a minute: fails when the best ratio to the floor is worse than 1.7',
    false,
  )
  .option('--no-report', 'leave bench/results/results.json and bench/results/report.html as they are')
  .helpOption('--help', 'show this help')
  .allowExcessArguments(false)
  .parse();

// Exit handlers end the programs that were started.
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));
process.exitCode = await bench(command.opts<Flags>());

async function bench(flags: Flags): Promise<number> {
  const options = flags.quick ? { ...flags, events: QUICK_EVENTS } : flags;
  const chosen = suites.filter(({ name, byDefault }) => {
    if (flags.suite !== undefined) return flags.suite.includes(name);
    return flags.quick ? name === 'pipeline' : byDefault;
  });
  const machine = await describeMachine();
  printMachine(machine, load());
  const folder = await mkdtemp(join(tmpdir(), 'datasync-bench-'));
  // Started by root, the server runs as another user, who must be able to enter the folder.
  await chmod(folder, 0o755);
  // With retries, because processes that are being ended may still write.
  process.once('exit', () => {
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });
  const results: SuiteResult[] = [];
  for (const suite of chosen) {
    const result = await measure(suite, options, folder);
    printSuite(result);
    results.push(result);
  }
  // A quick run is a guard, not a record.
  if (flags.report && !flags.quick) {
    const kept = await writeResults(machine, results);
    await writeReport(kept);
  }
  const failed = results.flatMap(({ checks }) => checks).filter(({ holds }) => holds === false);
  return flags.quick && failed.length > 0 ? 1 : 0;
}

async function measure(suite: Suite, options: BenchOptions, folder: string): Promise<SuiteResult> {
  const say = (line: string): void => {
    process.stderr.write(`  ${suite.name}: ${line}\n`);
  };
  const startedMs = performance.now();
  const startedAt = new Date().toISOString();
  const loadBefore = load();
  const { checks, ...outcome } = await suite.run({ options, say, folder });
  const { promisedAt = options.events } = suite;
  // The guard of `--quick` has a size of its own.
  const isJudged = options.quick || promisedAt === options.events;
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  const { name, title } = suite;
  // A record of its own: the two kinds of server are not to be compared by accident.
  const named = options.tuned
    ? { suite: `${name} --tuned`, title: `${title}, server as the embedded one` }
    : { suite: name, title };
  return {
    ...named,
    startedAt,
    seconds,
    loadBefore,
    ...outcome,
    checks: isJudged ? checks : checks.map((check) => withoutVerdict(check, promisedAt)),
  };
}
