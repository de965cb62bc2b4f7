/**
 * A job that only uses the embedded database: starts it, says so in a JSON line, stops it on SIGTERM. Run by tests, which
 * kill it. Usage: cluster-program.ts <data folder> [ordinary]
 *
 * `ordinary`: started by root, it goes on as the unprivileged user. It does so itself, after everything is loaded, because that
 * user may not be able to enter the project's folder, or reach node.
 */
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import { serverAccount } from '../../src/embedded-postgres/account.ts';
import { packagedBinaries, usableBinaries } from '../../src/embedded-postgres/binaries.ts';
import { startEmbeddedPostgres } from '../../src/embedded-postgres/embedded-postgres.ts';

const [dataDir, who] = process.argv.slice(2);
if (dataDir === undefined) throw new Error('usage: cluster-program.ts <data folder>');
const logger = pino({ level: 'info' });
const alive = setInterval(() => undefined, 2 ** 30);
// Ctrl-C reaches this process too; what the test asks is whether it reaches the server.
process.on('SIGINT', () => {
  logger.info('interrupted');
});

/** `native` folder with programs that the ordinary user can run. */
async function becomeOrdinary(): Promise<string> {
  const account = await serverAccount(null);
  const { postgres } = await usableBinaries(packagedBinaries(), account);
  if (account !== null) {
    process.chdir('/');
    process.setgroups?.([]);
    process.setgid?.(account.gid);
    process.setuid?.(account.uid);
  }
  return join(dirname(postgres), '..');
}

try {
  const binaries = who === 'ordinary' ? { binariesDir: await becomeOrdinary() } : {};
  const server = await startEmbeddedPostgres({ dataDir, logger, ...binaries });
  const terminated = new Promise((resolve) => process.once('SIGTERM', resolve));
  logger.info({ url: server.url }, 'ready');
  await terminated;
  await server.stop();
} finally {
  clearInterval(alive);
}
