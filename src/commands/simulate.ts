/** `npm run simulate`: the simulated API alone, until a signal ends it. */
import { Option, type Command } from 'commander';
import type { z } from 'zod';
import { nextStopSignal } from '../app/run/shutdown.ts';
import { commandLine, parseFlags, type Environment } from '../core/config.ts';
import { ConfigurationError, EXIT_CODES, type ExitCode } from '../core/errors.ts';
import { flagOf } from '../core/settings-table.ts';
import { isToggle, settingDescription, settingNames, settingsSchema } from '../simulator/settings.ts';
import { startSimulator } from '../simulator/simulator.ts';

const DEFAULT_PORT = 8787;

/** Returns when a signal has closed the server. @throws ConfigurationError for unknown flags and bad values */
export async function simulate(argv: readonly string[], environment: Environment): Promise<ExitCode> {
  const flags = parseFlags(simulatorCommand(), argv, environment);
  const parsed = settingsSchema.safeParse({ port: DEFAULT_PORT, ...flags });
  if (!parsed.success) throw new ConfigurationError(describeProblems(parsed.error), { cause: parsed.error });
  const stopped = nextStopSignal(() => undefined);
  const startedMs = performance.now();
  const simulator = await startSimulator(parsed.data).catch((cause: unknown) => {
    if (!(cause instanceof Error && 'syscall' in cause)) throw cause;
    const { host, port } = parsed.data;
    const problem = `cannot listen on ${host}:${port}: ${cause.message}`;
    throw new ConfigurationError(`${problem}; choose another --port or --host`, { cause });
  });
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const { events } = simulator.stats().data;
  process.stdout.write(`simulator: ${simulator.baseUrl} serves ${events} events (ready in ${seconds} s)\n`);
  await stopped;
  await simulator.close();
  return EXIT_CODES.complete;
}

function simulatorCommand(): Command {
  const command = commandLine(
    'npm run simulate --',
    'Serves the DataSync API, simulated: every setting below is one way the live service has been seen to behave.',
    [],
  );
  const defaults = settingsSchema.parse({ port: DEFAULT_PORT });
  for (const name of settingNames) {
    const value = isToggle(name) ? '[true|false]' : '<value>';
    const preset = defaults[name];
    const text = typeof preset === 'object' ? JSON.stringify(preset) : String(preset);
    const help = settingDescription(name) + (text === '' ? '' : ` (default: ${text})`);
    const option = new Option(`${flagOf(name)} ${value}`, help);
    command.addOption(isToggle(name) ? option.preset('true') : option);
  }
  return command;
}

function describeProblems(error: z.ZodError): string {
  return error.issues.map((issue) => `${flagOf(String(issue.path[0] ?? ''))}: ${issue.message}`).join('; ');
}
