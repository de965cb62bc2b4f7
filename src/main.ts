/**
 * The way in: `node --import tsx src/main.ts [command] [flags]`. Commands are loaded when they are asked for, so that
 * the job starts as fast as it can.
 */
import { existsSync } from 'node:fs';
import { HelpShown, type Environment } from './core/config.ts';
import { EXIT_CODES, JobError, exitCodeOf, type ExitCode } from './core/errors.ts';

type RunCommand = (argv: readonly string[], environment: Environment) => Promise<ExitCode>;

const runJob: RunCommand = async (argv, environment) => {
  const { ingest } = await import('./commands/ingest.ts');
  return ingest(argv, environment, false);
};

const COMMANDS: Readonly<Record<string, RunCommand>> = {
  demo: async (argv, environment) => {
    const { ingest } = await import('./commands/ingest.ts');
    return ingest(argv, environment, true);
  },
  simulate: async (argv) => {
    const { simulate } = await import('./commands/simulate.ts');
    await simulate(argv);
    return EXIT_CODES.complete;
  },
  db: async (argv, environment) => {
    const { serveDatabase } = await import('./commands/db.ts');
    return serveDatabase(argv, environment);
  },
  'export-ids': async (argv, environment) => {
    const { exportIds } = await import('./commands/export-ids.ts');
    return exportIds(argv, environment);
  },
  status: async (argv, environment) => {
    const { status } = await import('./commands/status.ts');
    return status(argv, environment);
  },
  verify: async (argv, environment) => {
    const { verify } = await import('./commands/verify.ts');
    return verify(argv, environment);
  },
  anomalies: async (argv, environment) => {
    const { anomalies } = await import('./commands/anomalies.ts');
    return anomalies(argv, environment);
  },
};

async function main(argv: readonly string[]): Promise<ExitCode> {
  // What is set already wins over .env; nothing is read from anywhere else.
  if (existsSync('.env')) process.loadEnvFile('.env');
  const [name = '', ...rest] = argv;
  const command = COMMANDS[name];
  try {
    return await (command === undefined ? runJob(argv, process.env) : command(rest, process.env));
  } catch (error) {
    if (error instanceof HelpShown) return EXIT_CODES.complete;
    if (!(error instanceof JobError)) throw error;
    // Before there is a logger: settings that cannot be used.
    process.stderr.write(`${error.message}\n`);
    return exitCodeOf(error);
  }
}

process.exit(await main(process.argv.slice(2)));
