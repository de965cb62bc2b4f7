/** `npm run simulate`: the simulated API alone, until a signal ends it. */
import { once } from 'node:events';
import { Command, CommanderError, Option } from 'commander';
import { z } from 'zod';
import { ConfigurationError } from '../core/errors.ts';
import { isToggle, settingDescription, settingNames, settingsSchema } from '../simulator/settings.ts';
import { startSimulator } from '../simulator/simulator.ts';

const DEFAULT_PORT = 8787;

const flagOf = (name: string): string => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

function commandOf(): Command {
  const defaults = settingsSchema.parse({ port: DEFAULT_PORT });
  const command = new Command('npm run simulate --')
    .configureHelp({ helpWidth: 120 })
    .description(
      'Serves the DataSync API, simulated: every setting below is one way the live service has been seen to behave.',
    )
    .helpOption('--help', 'show this help')
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  for (const name of settingNames) {
    const value = isToggle(name) ? '[true|false]' : '<value>';
    const preset = defaults[name];
    const text = typeof preset === 'object' ? JSON.stringify(preset) : String(preset);
    const option = new Option(
      `${flagOf(name)} ${value}`,
      settingDescription(name) + (text === '' ? '' : ` (default: ${text})`),
    );
    command.addOption(isToggle(name) ? option.preset('true') : option);
  }
  return command;
}

/** Throws ConfigurationError for unknown flags and bad values; returns when SIGINT or SIGTERM has closed the server. */
export async function simulate(argv: readonly string[]): Promise<void> {
  const command = commandOf();
  try {
    command.parse([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return;
    throw new ConfigurationError(`${error.message.replace(/^error: /, '')}; see npm run simulate -- --help`, {
      cause: error,
    });
  }
  const parsed = settingsSchema.safeParse({ port: DEFAULT_PORT, ...command.opts<Record<string, unknown>>() });
  if (!parsed.success) throw new ConfigurationError(describeProblems(parsed.error), { cause: parsed.error });
  const stopped = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  const startedMs = performance.now();
  const simulator = await startSimulator(parsed.data).catch((error: unknown) => {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    const { host, port } = parsed.data;
    throw new ConfigurationError(
      `cannot listen on ${host}:${port}: ${error.message}; choose another --port or --host`,
      {
        cause: error,
      },
    );
  });
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const { events } = simulator.stats().data;
  process.stdout.write(`simulator: ${simulator.baseUrl} serves ${events} events (ready in ${seconds} s)\n`);
  await stopped;
  await simulator.close();
}

function describeProblems(error: z.ZodError): string {
  return error.issues.map((issue) => `${flagOf(String(issue.path[0] ?? ''))}: ${issue.message}`).join('; ');
}
