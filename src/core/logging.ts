/**
 * The one home of pino. JSON lines when stdout is not a terminal, pretty ones when it is.
 *
 * Writing is synchronous: the reason of a failure must be out before the process ends (pinojs/pino#2054), and the job
 * logs once a merge or a trouble, never once an event.
 *
 * Levels: debug, what a developer wants; info, the story of the run; warn, something went wrong and was recovered,
 * nothing lost; error, somebody must act.
 */
import { type Logger, pino, stdTimeFunctions } from 'pino';
import { prettyFactory } from 'pino-pretty';

export type { Logger } from 'pino';

export interface LoggingOptions {
  readonly format: 'auto' | 'json' | 'pretty';
  readonly level: string;
  /** Replaced by value wherever they stand in a line. */
  readonly secrets: readonly string[];
  /** Where lines go when not to stdout: the terminal display puts them above its bar. */
  readonly write?: (line: string) => void;
}

const MASK = '[hidden]';
/** Anything shorter stands in too many words that are no secret. */
const MIN_SECRET_LENGTH = 4;

/** Replaces secrets by value; each also as JSON would spell it, since it runs over finished lines. */
export function redactor(secrets: readonly string[]): (text: string) => string {
  const spellings = new Set<string>();
  for (const secret of secrets) {
    if (secret.length < MIN_SECRET_LENGTH) continue;
    spellings.add(secret);
    spellings.add(JSON.stringify(secret).slice(1, -1));
    spellings.add(encodeURIComponent(secret));
  }
  // Longest first, so that a secret that contains another is replaced whole.
  const ordered = [...spellings].sort((a, b) => b.length - a.length);
  return (text) => ordered.reduce((masked, secret) => masked.replaceAll(secret, MASK), text);
}

export interface Logging {
  readonly logger: Logger;
  /** Secrets that become known later: stream tokens, the embedded database's password. */
  addSecret(secret: string): void;
}

export function createLogging(options: LoggingOptions): Logging {
  const secrets = [...options.secrets];
  let redact = redactor(secrets);
  const isPretty = options.format === 'pretty' || (options.format === 'auto' && process.stdout.isTTY);
  const write =
    options.write ??
    ((line: string) => {
      writeStdout.write(line);
    });
  const writeStdout = pino.destination({ dest: 1, sync: true });
  // The factory, not the stream: pino-pretty's stream takes only whole Node streams as its destination, and buffers.
  const prettify = prettyFactory({
    colorize: process.stdout.isTTY,
    translateTime: 'SYS:HH:MM:ss',
    ignore: 'pid,hostname',
    // A merge has seven fields: one under the other they would be all that a terminal shows.
    singleLine: true,
  });
  const destination = {
    write: (line: string) => {
      write(isPretty ? prettify(line) : line);
    },
  };
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      hooks: { streamWrite: (line) => redact(line) },
    },
    destination,
  );
  return {
    logger,
    addSecret(secret) {
      secrets.push(secret);
      redact = redactor(secrets);
    },
  };
}
