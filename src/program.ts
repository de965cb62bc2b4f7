/** The program: which command it is, and what it ends with. A command is loaded when it is asked for. */
import { HelpShown, type Environment } from './core/config.ts';
import { readEnvFile } from './core/env-file.ts';
import { EXIT_CODES, JobError, exitCodeOf, type ExitCode } from './core/errors.ts';
import { surviveLostOutput } from './core/output.ts';
import { Redactor, flatten } from './core/redaction.ts';

type RunCommand = (argv: readonly string[], environment: Environment) => Promise<ExitCode>;

const COMMANDS: Readonly<Record<string, () => Promise<RunCommand>>> = {
  demo: async () => (await import('./commands/ingest.ts')).demo,
  simulate: async () => (await import('./commands/simulate.ts')).simulate,
  db: async () => (await import('./commands/db.ts')).serveDatabase,
  'export-ids': async () => (await import('./commands/export-ids.ts')).exportIds,
  status: async () => (await import('./commands/status.ts')).status,
  verify: async () => (await import('./commands/verify.ts')).verify,
  anomalies: async () => (await import('./commands/anomalies.ts')).anomalies,
  source: async () => (await import('./commands/source.ts')).source,
  'show-log': async () => (await import('./commands/show-log.ts')).showLog,
};

async function main(argv: readonly string[]): Promise<ExitCode> {
  const [name = '', ...flags] = argv;
  const load = COMMANDS[name];
  try {
    // What is set already wins over .env; nothing is read from anywhere else. Node and node-postgres read variables of their own.
    const isForSource = argv.some((word) => /\.ya?ml$/.test(word));
    const assigned = Object.entries(readEnvFile('.env', process.env, isForSource));
    for (const [variable, value] of assigned) process.env[variable] ??= value;
    if (load !== undefined) return await (await load())(flags, process.env);
    const { ingest } = await import('./commands/ingest.ts');
    return await ingest(argv, process.env);
  } catch (error) {
    if (error instanceof HelpShown) return EXIT_CODES.complete;
    if (!(error instanceof JobError)) throw error;
    // The settings cannot be used, so there is no logger yet.
    process.stderr.write(`${flatten(new Redactor().redactOwn(error.message))}\n`);
    return exitCodeOf(error);
  }
}

surviveLostOutput();
process.exit(await main(process.argv.slice(2)));
