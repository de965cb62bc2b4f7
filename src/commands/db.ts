/** `npm run db`: keeps the embedded database up and says where, to look at the rows with any PostgreSQL client. */
import { setTimeout as delay } from 'node:timers/promises';
import { embeddedDataDir } from '../app/run/job-source.ts';
import { listenForSignals } from '../app/run/shutdown.ts';
import { commandLine, readSettings, secretsOf, type Environment } from '../core/config.ts';
import { ConfigurationError, EXIT_CODES, exitCodeOf, type ExitCode } from '../core/errors.ts';
import { createLogging } from '../core/logging.ts';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../embedded-postgres/embedded-postgres.ts';
import { logEnd } from './end-of-command.ts';

/** How often it is looked whether the server runs. */
const LOOK_EVERY_MS = 1_000;

/**
 * Returns after the first signal to stop, the normal end of this command. The database is stopped then, unless a job
 * uses it: then the job stops it at its end. The address goes to stdout, everything else to stderr.
 */
export async function serveDatabase(argv: readonly string[], environment: Environment): Promise<ExitCode> {
  const command = commandLine('npm run db --', 'Keeps the embedded PostgreSQL up until it is stopped with Ctrl-C.', [
    'database',
    'output',
  ]);
  command.option('--port <port>', 'port on 127.0.0.1 (default: any free one; a running server keeps its own)');
  const settings = readSettings(command, argv, environment);
  const port = readPort(command.opts<{ port?: string }>().port);
  const { logger } = createLogging({
    format: settings.logFormat,
    level: settings.logLevel,
    secrets: secretsOf(settings),
    write: (line) => process.stderr.write(line),
  });
  const say = (line: string): boolean => process.stderr.write(`${line}\n`);
  // Before anything is started: a signal that comes early must not leave a server behind.
  const stop = new AbortController();
  listenForSignals({
    drain: () => {
      stop.abort();
    },
    force: () => process.exit(EXIT_CODES.complete),
    hungUp: () => say('SIGHUP: a terminal was closed; the database stays up. SIGTERM stops it'),
  });
  try {
    const server = await startEmbeddedPostgres({ dataDir: embeddedDataDir(settings), logger, port });
    try {
      process.stdout.write(`${server.url}\n`);
      say(
        `look at the rows, for example: psql '${server.url}' -c 'SELECT count(*) FROM ingested_events', or the table of another source`,
      );
      say('the rows of the demo: the same address with /demo at its end. Ctrl-C stops the database.');
      if (settings.databaseUrl !== undefined) {
        say('DATABASE_URL is set: npm start works on that database, not on this one.');
      }
      await keepUp(server, stop.signal);
    } finally {
      await server.stop();
    }
    return EXIT_CODES.complete;
  } catch (error) {
    logEnd(logger, error);
    return exitCodeOf(error);
  }
}

/** Starts the server again when it ends. @throws GaveUpError when that fails: nobody must go on with an address that is dead */
async function keepUp(server: EmbeddedPostgres, stopped: AbortSignal): Promise<void> {
  for (;;) {
    await delay(LOOK_EVERY_MS, undefined, { signal: stopped }).catch(() => undefined);
    if (stopped.aborted) return;
    await server.revive();
  }
}

function readPort(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const port = Number(text);
  if (/^\d+$/.test(text) && port >= 1 && port <= 65_535) return port;
  throw new ConfigurationError(`--port: expected a whole number from 1 to 65535, got "${text}"`);
}
