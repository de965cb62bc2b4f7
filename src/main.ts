/**
 * The way in: `node --import tsx src/main.ts [command] [flags]`. Commands are loaded when they are asked for, so that
 * the job starts as fast as it can.
 */
import { existsSync } from 'node:fs';
import { HelpShown } from './core/config.ts';
import { EXIT_CODES, JobError, exitCodeOf, type ExitCode } from './core/errors.ts';

type RunCommand = (argv: readonly string[]) => Promise<ExitCode>;

const COMMANDS: Readonly<Record<string, () => Promise<RunCommand>>> = {
  demo: async () => {
    const { ingest } = await import('./commands/ingest.ts');
    return (argv) => ingest(argv, process.env, true);
  },
  simulate: async () => {
    const { simulate } = await import('./commands/simulate.ts');
    return async (argv) => {
      await simulate(argv);
      return EXIT_CODES.complete;
    };
  },
  status: async () => {
    const { status } = await import('./commands/status.ts');
    return (argv) => status(argv, process.env);
  },
  verify: async () => {
    const { verify } = await import('./commands/verify.ts');
    return (argv) => verify(argv, process.env);
  },
  anomalies: async () => {
    const { anomalies } = await import('./commands/anomalies.ts');
    return (argv) => anomalies(argv, process.env);
  },
};

async function loadJob(): Promise<RunCommand> {
  const { ingest } = await import('./commands/ingest.ts');
  return (argv) => ingest(argv, process.env, false);
}

async function main(argv: readonly string[]): Promise<ExitCode> {
  // What is set already wins over .env; nothing is read from anywhere else.
  if (existsSync('.env')) process.loadEnvFile('.env');
  const [name, ...rest] = argv;
  const load = name === undefined ? undefined : COMMANDS[name];
  try {
    return load === undefined ? await (await loadJob())(argv) : await (await load())(rest);
  } catch (error) {
    if (error instanceof HelpShown) return EXIT_CODES.complete;
    if (!(error instanceof JobError)) throw error;
    // Before there is a logger: settings that cannot be used.
    process.stderr.write(`${error.message}\n`);
    return exitCodeOf(error);
  }
}

process.exit(await main(process.argv.slice(2)));
