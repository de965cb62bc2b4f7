/** `npm run simulate`: the simulated API alone, until a signal ends it. */
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Option, type Command } from 'commander';
import type { z } from 'zod';
import { nextStopSignal } from '../app/run/shutdown.ts';
import { commandLine, parseFlags, type Environment } from '../core/config.ts';
import { ConfigurationError, EXIT_CODES, type ExitCode } from '../core/errors.ts';
import { flagOf } from '../core/settings-table.ts';
import { simulateDescribed } from '../simulator/described/described-simulator.ts';
import { simulatedDescription } from '../simulator/described/simulated-description.ts';
import {
  isToggle,
  settingDescription,
  settingNames,
  settingsSchema,
  type SettingName,
  type SimulatorSettings,
} from '../simulator/settings.ts';
import { startSimulator } from '../simulator/simulator.ts';
import { fillIn } from '../source/fill-in.ts';
import { namedSource, readText } from '../source/named-source.ts';

const DEFAULT_PORT = 8787;
/** Unless flags say otherwise: as many as a described API gives in a minute, and no limit. */
const OF_DESCRIBED = { events: 10_000, eventsLimit: 0 };
/** What a described API has, too. */
const DESCRIBED_SETTINGS: readonly SettingName[] = [
  ...(['host', 'port', 'events', 'seed', 'newest', 'days', 'distribution', 'tieSize', 'cursorTtl'] as const),
  ...(['latency', 'latencyJitter', 'keepAliveSeconds', 'faults', 'faultPlan', 'cutAt', 'burst'] as const),
  ...(['burstRetryAfter', 'eventsLimit', 'eventsWindow', 'rateWindow', 'retryAfter'] as const),
];

/** Returns when a signal has closed the server. @throws ConfigurationError for unknown flags and bad values */
export async function simulate(argv: readonly string[], environment: Environment): Promise<ExitCode> {
  const { source, ...flags } = parseFlags(simulatorCommand(), argv, environment);
  const file = typeof source === 'string' ? source : null;
  const presets = { port: DEFAULT_PORT, ...(file === null ? {} : OF_DESCRIBED) };
  const parsed = settingsSchema.safeParse({ ...presets, ...flags });
  if (!parsed.success) throw new ConfigurationError(describeProblems(parsed.error), { cause: parsed.error });
  const stopped = nextStopSignal(() => undefined);
  const startedMs = performance.now();
  const starting = file === null ? serve(parsed.data) : serveDescribed(file, flags, parsed.data, environment);
  const { line, close } = await starting.catch((cause: unknown) => {
    if (!(cause instanceof Error && 'syscall' in cause)) throw cause;
    const { host, port } = parsed.data;
    const problem = `cannot listen on ${host}:${port}: ${cause.message}`;
    throw new ConfigurationError(`${problem}; choose another --port or --host`, { cause });
  });
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  process.stdout.write(`simulator: ${line} (ready in ${seconds} s)\n`);
  await stopped;
  await close();
  return EXIT_CODES.complete;
}

interface Served {
  /** What it serves, and where. */
  readonly line: string;
  readonly close: () => Promise<void>;
}

async function serve(settings: SimulatorSettings): Promise<Served> {
  const simulator = await startSimulator(settings);
  const { events } = simulator.stats().data;
  return { line: `${simulator.baseUrl} serves ${events} events`, close: () => simulator.close() };
}

/** @param flags that were given. @throws ConfigurationError for one that only DataSync has, and for problems of the description */
async function serveDescribed(
  file: string,
  flags: object,
  settings: SimulatorSettings,
  environment: Environment,
): Promise<Served> {
  const others = Object.keys(flags).filter((name) => !DESCRIBED_SETTINGS.some((known) => known === name));
  if (others.length > 0)
    throw new ConfigurationError(`with --source these flags mean nothing: ${others.map(flagOf).join(', ')}`);
  const { description } = namedSource(file);
  if (description === null)
    throw new ConfigurationError(`--source ${file}: expected the file of a description other than datasync, FILE.yaml`);
  const filled = fillIn(description, environment);
  const simulator = await simulateDescribed(filled, settings);
  const copy = join(tmpdir(), `simulated-${description.name}-${new URL(simulator.origin).port}.yaml`);
  writeFileSync(copy, simulatedDescription(readText(file), filled.url, simulator.origin));
  const line = `${simulator.origin} serves ${simulator.records.length} records of ${description.name}; load them with: npm start -- --source ${copy}`;
  return {
    line,
    close: () =>
      simulator.close().finally(() => {
        rmSync(copy, { force: true });
      }),
  };
}

function simulatorCommand(): Command {
  const command = commandLine(
    'npm run simulate --',
    'Serves the DataSync API, simulated: every setting below is one way the live service has been seen to behave.',
    [],
  );
  const described = 'the API that a description describes, in place of DataSync: --source FILE.yaml';
  command.addOption(new Option('--source <file>', described));
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
