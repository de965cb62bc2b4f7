/** `npm run db`: keeps the embedded database up and says where, to look at the rows with any PostgreSQL client. */
import type { Logger } from '../core/logging.ts';
import { startEmbeddedPostgres } from '../load/embedded-postgres.ts';

export interface ServeDatabaseOptions {
  readonly dataDir: string;
  readonly logger: Logger;
  /** Default: any free port. */
  readonly port?: number;
  /** Where the address goes, one line a call. */
  readonly print: (line: string) => void;
}

/**
 * Resolves after the first SIGINT or SIGTERM. The database is stopped then, unless a job uses it: in that case the job
 * stops it at its end. Throws what startEmbeddedPostgres throws.
 */
export async function serveDatabase(options: ServeDatabaseOptions): Promise<void> {
  const { dataDir, logger, print } = options;
  // Listened for before anything is started: a signal that comes early must not leave a server behind.
  const signal = listenForSignal();
  try {
    const port = options.port === undefined ? {} : { port: options.port };
    const server = await startEmbeddedPostgres({ dataDir, logger, ...port });
    try {
      print(server.url);
      print(`look at the rows, for example: psql '${server.url}' -c 'SELECT count(*) FROM ingested_events'`);
      print('the demo has a database of its own: the same address with /demo at its end. Ctrl-C ends this.');
      await signal.received;
    } finally {
      await server.stop();
    }
  } finally {
    signal.dispose();
  }
}

function listenForSignal(): { received: Promise<void>; dispose: () => void } {
  const { promise, resolve } = withResolvers();
  // Neither a signal's listener nor the session with the server keeps this process alive; a timer does.
  const alive = setInterval(() => undefined, 2 ** 30);
  process.on('SIGINT', resolve);
  process.on('SIGTERM', resolve);
  return {
    received: promise,
    dispose: () => {
      clearInterval(alive);
      process.off('SIGINT', resolve);
      process.off('SIGTERM', resolve);
    },
  };
}

/** Promise.withResolvers came with Node 22. */
function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((fulfil) => {
    resolve = fulfil;
  });
  return { promise, resolve };
}
