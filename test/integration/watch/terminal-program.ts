/**
 * What a person at a terminal sees, without a job behind it: the display, the logger and a job that is moved by lines on standard
 * input (`advance SECONDS`, `log TEXT`, `stop`). Started by tests inside a pseudo-terminal, or not.
 */
import { createInterface } from 'node:readline';
import { createLogging } from '../../../src/core/logging.ts';
import { createTerminalDisplay, startProgress } from '../../../src/watch/terminal-progress.ts';
import { MovingJob } from '../../unit/watch/moving-job.ts';

const LOG_EVERY_MS = 100;

const display = createTerminalDisplay(process.stdout);
const { logger } = createLogging({
  format: 'auto',
  level: 'info',
  secrets: [],
  ...(display === null ? {} : { write: display.write }),
});
const job = new MovingJob({ totalEvents: 1_000_000, eventsPerSecond: 10_000, startedAtMs: Date.now() - 60_000 });
logger.info('before the display');
const stopProgress = startProgress({
  snapshot: () => job.snapshot(),
  logger,
  display,
  logEveryMs: LOG_EVERY_MS,
});

for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...rest] = line.split(' ');
  const text = rest.join(' ');
  if (command === 'advance') {
    for (let second = 0; second < Number(text); second += 1) job.advance(1);
    logger.info(`advanced to ${job.snapshot().copiedEvents}`);
  }
  if (command === 'log') logger.info(text);
  if (command === 'stop') break;
}
job.end(0, 'complete');
stopProgress();
logger.info('after the display');
process.exit(0);
