/**
 * The one home of pino. JSON lines when stdout is not a terminal, pretty ones when it is.
 *
 * Writing is synchronous: the job logs once a merge or a trouble, never once an event. Every text of a line passes
 * {@link cleanLine}: what came from outside cannot forge a line, nor be longer than a line should be.
 *
 * Levels: debug, what a developer wants; info, the story of the run; warn, something went wrong and was recovered,
 * nothing lost; error, somebody must act.
 */
import { type Logger, pino, stdTimeFunctions } from 'pino';
import { prettyFactory } from 'pino-pretty';
import { writeToStdout } from './output.ts';
import { flatten, Redactor, shorten } from './redaction.ts';

export type { Logger } from 'pino';

/** More than any text of ours, a stack included. */
const MAX_CHARACTERS = 8_000;

export interface LoggingOptions {
  readonly format: 'auto' | 'json' | 'pretty';
  readonly level: string;
  /** Taken out of every line. */
  readonly secrets: readonly string[];
  /** Where lines go when not to stdout: the terminal display puts them above its bar. */
  readonly write?: (line: string) => void;
}

export interface Logging {
  readonly logger: Logger;
  /** Secrets that become known later: stream tokens, the embedded database's password. */
  addSecret(secret: string): void;
}

export function createLogging(options: LoggingOptions): Logging {
  const redactor = new Redactor(options.secrets);
  const isPretty = options.format === 'pretty' || (options.format === 'auto' && process.stdout.isTTY);
  const write = options.write ?? writeToStdout;
  const prettify = readableLines();
  const destination = {
    write: (line: string) => {
      const clean = cleanLine(line, redactor);
      write(isPretty ? prettify(clean) : clean);
    },
  };
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
  return {
    logger,
    addSecret: (secret) => {
      redactor.add(secret);
    },
  };
}

/** A line of JSON in which every text is on one line, bounded, and without secrets. */
function cleanLine(line: string, redactor: Redactor): string {
  const clean = (key: string, value: unknown): unknown => {
    if (typeof value !== 'string') return value;
    const text = shorten(redactor.redactOwn(value), MAX_CHARACTERS);
    // Pretty lines show a stack indented, so that none of its lines looks like one of the log.
    return key === 'stack' ? text.split('\n').map(flatten).join('\n') : flatten(text);
  };
  return `${JSON.stringify(JSON.parse(line, clean))}\n`;
}

/** Makes a line for people, with its line end, of a line of the log; whatever is not JSON stays as it is. */
export function readableLines(): (line: string) => string {
  // The factory, not the stream: pino-pretty's stream takes only whole Node streams as its destination, and buffers.
  return prettyFactory({
    colorize: process.stdout.isTTY,
    translateTime: 'SYS:HH:MM:ss',
    ignore: 'pid,hostname',
    // A merge has seven fields: one under the other they would be all that a terminal shows.
    singleLine: true,
  });
}
