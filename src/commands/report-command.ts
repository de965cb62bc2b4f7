/** What commands that only read have in common: the database that a start with the same settings would use, and the exit code. */
import type { Command } from 'commander';
import { commandLine, readSettings, type Environment, type Settings } from '../core/config.ts';
import { ConfigurationError, EXIT_CODES, exitCodeOf, type ExitCode } from '../core/errors.ts';
import type { Logger } from '../core/logging.ts';
import type { SettingGroup } from '../core/settings-table.ts';
import type { Database } from '../load/postgres/database.ts';
import { findSource, readSourceNames, type Source } from '../load/schema/source.ts';
import type { Description } from '../source/description.ts';
import { secretsIn } from '../source/fill-in.ts';
import { namedSource } from '../source/named-source.ts';
import { openDatabaseToRead } from './database-to-read.ts';
import { logEnd, logToStderr } from './end-of-command.ts';

interface ReportContext {
  readonly db: Database;
  readonly source: Source;
  readonly settings: Settings;
  /** What `--source` describes; `null`: it is a name. */
  readonly described: Description | null;
  readonly isJson: boolean;
  /** The command's own options. */
  readonly options: Readonly<Record<string, unknown>>;
  /** On stderr: stdout belongs to the report. */
  readonly logger: Logger;
}

interface ReportCommand {
  readonly name: string;
  readonly description: string;
  /** Groups of settings besides those that name the database. */
  readonly groups: readonly SettingGroup[];
  readonly addOptions?: (command: Command) => void;
  readonly work: (context: ReportContext) => Promise<void>;
}

/** Returns the exit code; stderr has the reason. */
export async function reportCommand(
  argv: readonly string[],
  environment: Environment,
  { name, description, groups, addOptions, work }: ReportCommand,
): Promise<ExitCode> {
  const command = commandLine(`npm run ${name} --`, description, ['database', 'output', ...groups]);
  command.option('--json', 'print JSON, for machines');
  addOptions?.(command);
  const asked = readSettings(command, argv, environment);
  const { name: source, description: described } = namedSource(asked.source);
  const settings = { ...asked, source };
  const options = command.opts<Record<string, unknown>>();
  // The report is the answer: nobody wants to read how the database was found while all goes well.
  const secrets = described === null ? [] : secretsIn(described, environment);
  const logger = logToStderr(settings, settings.logLevel === 'info' ? 'warn' : settings.logLevel, secrets);
  try {
    const target = await openDatabaseToRead({ settings, logger, purpose: name });
    try {
      const { db } = target;
      const found = await findSource(db, source);
      if (found === null) {
        const others = await readSourceNames(db);
        throw new ConfigurationError(
          `No job has put anything into ${db.described} from the source ${settings.source} yet: npm start does.` +
            (others.length === 0 ? '' : ` Sources that are there (--source): ${others.join(', ')}.`),
        );
      }
      await work({ db, source: found, settings, described, isJson: options['json'] === true, options, logger });
    } finally {
      await target.close();
    }
    return EXIT_CODES.complete;
  } catch (error) {
    logEnd(logger, error);
    return exitCodeOf(error);
  }
}
