/** The way from the API to the table, against PostgreSQL alone. Contenders are found by glob, and take turns in each round. */
import { mkdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Contender, Measurement } from '../contender.ts';
import { loadContenders } from '../files.ts';
import { startScript } from '../measure/processes.ts';
import { guard, promises } from '../results/promises.ts';
import type { BarChart, Table } from '../results/result.ts';
import { countRows, readContents, type TargetContents } from '../results/result-check.ts';
import { BenchServer } from '../measure/server.ts';
import { ServerCpuMeter, type ServerCpu } from '../measure/server-cpu.ts';
import { Source } from '../measure/source.ts';
import { median, round } from '../results/statistics.ts';
import type { BenchContext, Suite } from '../suite.ts';

interface Sample extends Measurement {
  readonly round: number;
  readonly serverCpu: ServerCpu | null;
  readonly sourceCpuSeconds: number;
}

interface Measured {
  readonly contender: Contender;
  readonly samples: Sample[];
}

export const suite: Suite = {
  name: 'pipeline',
  title: 'The whole job against PostgreSQL alone',
  byDefault: true,
  promisedAt: 3_000_000,
  run: async (context) => {
    const { events, tuned, quick } = context.options;
    const all = await loadContenders();
    const asked = quick ? [] : (context.options.contenders ?? all.map(({ name }) => name));
    const contenders = all.filter(({ name, everyRound }) => everyRound || asked.includes(name));
    const server = await BenchServer.start(context.folder, { tuned });
    const source = await Source.start({ events, eventsLimit: 0 });
    try {
      const batchFile = join(context.folder, 'batches');
      context.say(`encoding ${events} events beforehand`);
      await startScript('bench/programs/encode-beforehand.ts', [source.baseUrl, batchFile]).succeeded();
      const measured = contenders.map((contender): Measured => ({ contender, samples: [] }));
      await measureAll(context, { server, source, batchFile, measured });
      await rm(batchFile);
      return present(context, measured);
    } finally {
      await source.stop();
      await server.stop();
    }
  },
};

async function measureAll(
  context: BenchContext,
  parts: { server: BenchServer; source: Source; batchFile: string; measured: readonly Measured[] },
): Promise<void> {
  const { measured } = parts;
  let expected: TargetContents | null = null;
  for (let number = 1; number <= context.options.rounds; number += 1) {
    // Every other round runs in reverse order: what slows the machine must not always hit the same contender.
    const order = number % 2 === 1 ? measured : [...measured].reverse();
    for (const { contender, samples } of order) {
      if (number > 1 && !contender.everyRound) continue;
      const { sample, contents } = await measure(context, parts, contender, number);
      samples.push(sample);
      expected ??= contents;
      checkSame(contender, contents, expected);
      context.say(`round ${number}: ${contender.name} ${sample.seconds.toFixed(2)} s`);
    }
  }
}

function checkSame(contender: Contender, contents: TargetContents, expected: TargetContents): void {
  const { rows, fingerprint } = contents;
  if (rows === expected.rows && (fingerprint === null || fingerprint === expected.fingerprint)) return;
  throw new Error(
    `${contender.name} loaded ${rows} rows (${fingerprint ?? 'not read'}), the first contender ${expected.rows} (${expected.fingerprint ?? 'not read'}): they must be equal`,
  );
}

async function measure(
  context: BenchContext,
  { server, source, batchFile }: { server: BenchServer; source: Source; batchFile: string },
  contender: Contender,
  number: number,
): Promise<{ sample: Sample; contents: TargetContents }> {
  const folder = join(context.folder, 'contender');
  await mkdir(folder, { recursive: true });
  try {
    return await server.withDatabase(async (databaseUrl) => {
      const meter = await ServerCpuMeter.start(await server.pid());
      const sourceCpuBefore = await source.cpuSeconds();
      const { events } = context.options;
      const all = await contender.run({ databaseUrl, source, batchFile, folder, events });
      const sourceCpuSeconds = (await source.cpuSeconds()) - sourceCpuBefore;
      const serverCpu = (await meter?.stop()) ?? null;
      // All values are compared in the first round; later the number of rows is enough.
      const contents =
        number === 1 ? await readContents(databaseUrl) : { rows: await countRows(databaseUrl), fingerprint: null };
      return { sample: { ...measurementOf(all), round: number, serverCpu, sourceCpuSeconds }, contents };
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Leaves out fields that only one contender has. */
function measurementOf(all: Measurement): Measurement {
  const { seconds, startSeconds, stages, busy, cpuSeconds, peakMemoryMb, eventLoopDelayMs, requests } = all;
  return { seconds, startSeconds, stages, busy, cpuSeconds, peakMemoryMb, eventLoopDelayMs, requests };
}

function present(context: BenchContext, measured: readonly Measured[]) {
  const { events, quick, tuned } = context.options;
  const floor = measured[0];
  const project = measured[1];
  if (floor === undefined || project === undefined) throw new Error('the floor and this project must be measured');
  const medianOf = (one: Measured, read: (sample: Sample) => number) => round(median(one.samples.map(read)));
  const floorSeconds = medianOf(floor, (sample) => sample.seconds);
  const ratios = project.samples.map((sample, index) => sample.seconds / (floor.samples[index]?.seconds ?? NaN));

  const main: Table = {
    title: `${events} events, medians of ${floor.samples.length} rounds, seconds`,
    columns: ['contender', 'seconds', '÷ floor', 'events/s', 'start-up', 'requests', 'peak MB', 'delay p50/p99/max ms'],
    rows: measured.map((one) => {
      const seconds = medianOf(one, (sample) => sample.seconds);
      const start = one.samples[0]?.startSeconds ?? null;
      const delay = one.samples[0]?.eventLoopDelayMs ?? null;
      return [
        one.contender.name,
        seconds,
        round(seconds / floorSeconds),
        Math.round(events / seconds),
        start === null ? '–' : medianOf(one, (sample) => sample.startSeconds ?? 0),
        one.samples[0]?.requests ?? 0,
        Math.round(medianOf(one, (sample) => sample.peakMemoryMb)),
        delay === null
          ? '–'
          : (['p50', 'p99', 'max'] as const)
              .map((which) => medianOf(one, (sample) => sample.eventLoopDelayMs?.[which] ?? 0))
              .join(' / '),
      ];
    }),
    note: 'Seconds are wall, from the first request (floor: first row) to the end; start-up is process start to first request and is not in them. The job is run with debug lines, which turn on its measuring.',
  };
  const stages: Table = {
    title: 'Wall seconds by stage, one after the other (medians)',
    columns: ['contender', 'stages'],
    rows: measured.map((one) => [
      one.contender.name,
      Object.keys(one.samples[0]?.stages ?? {})
        .map((stage) => `${stage} ${medianOf(one, (sample) => sample.stages[stage] ?? 0)}`)
        .join(' · '),
    ]),
  };
  const cpu: Table = {
    title: 'CPU seconds (medians)',
    columns: [
      'contender',
      'its own process',
      'PostgreSQL copy',
      'PostgreSQL merge',
      'PostgreSQL background',
      'source',
      'all',
      'idle',
    ],
    rows: measured.map((one) => cpuRow(one, medianOf)),
    note: 'Idle: cores × wall seconds − CPU seconds of all of these; negative when start-up and preparation, which are in the CPU seconds, outweigh it. The floor reads its batches into memory before its clock starts. The source is the simulator, which has to share the machine.',
  };
  const busy: Table = {
    title: 'This project: seconds inside stages, summed over everything at once (medians)',
    columns: ['stage', 'seconds'],
    rows: Object.keys(project.samples[0]?.busy ?? {}).map((stage) => [
      stage,
      medianOf(project, (sample) => sample.busy[stage] ?? 0),
    ]),
    note: 'encode is CPU in the worker threads; request, copy and merge are waiting for the other side.',
  };
  const rounds: Table = {
    title: 'Every round, seconds',
    columns: [
      'round',
      ...measured.filter(({ samples }) => samples.length > 1).map(({ contender }) => contender.name),
      '÷ floor',
    ],
    rows: floor.samples.map((sample, index) => [
      sample.round,
      ...measured.filter(({ samples }) => samples.length > 1).map(({ samples }) => round(samples[index]?.seconds ?? 0)),
      round(ratios[index] ?? 0),
    ]),
  };
  return {
    tables: [main, stages, cpu, busy, rounds],
    charts: charts(measured, medianOf),
    checks: quick
      ? [guard(ratios)]
      : promises(
          {
            ratio: medianOf(project, (sample) => sample.seconds) / floorSeconds,
            startSeconds: medianOf(project, (sample) => sample.startSeconds ?? 0),
            peakMemoryMb: medianOf(project, (sample) => sample.peakMemoryMb),
            delayP99Ms: medianOf(project, (sample) => sample.eventLoopDelayMs?.p99 ?? 0),
          },
          tuned,
        ),
    raw: measured.map(({ contender, samples }) => ({ contender: contender.name, what: contender.what, samples })),
  };
}

type MedianOf = (one: Measured, read: (sample: Sample) => number) => number;

function cpuParts(one: Measured, medianOf: MedianOf) {
  return [
    { name: 'its own process', value: medianOf(one, ({ cpuSeconds }) => cpuSeconds.user + cpuSeconds.system) },
    { name: 'PostgreSQL copy', value: medianOf(one, ({ serverCpu }) => serverCpu?.copy ?? 0) },
    { name: 'PostgreSQL merge', value: medianOf(one, ({ serverCpu }) => serverCpu?.merge ?? 0) },
    { name: 'PostgreSQL background', value: medianOf(one, ({ serverCpu }) => serverCpu?.background ?? 0) },
    { name: 'source', value: medianOf(one, ({ sourceCpuSeconds }) => sourceCpuSeconds) },
  ];
}

function cpuRow(one: Measured, medianOf: MedianOf): (string | number)[] {
  const parts = cpuParts(one, medianOf).map(({ value }) => value);
  const all = round(parts.reduce((sum, value) => sum + value, 0));
  const idle = round(availableParallelism() * medianOf(one, ({ seconds }) => seconds) - all);
  return [one.contender.name, ...parts, all, idle];
}

function charts(measured: readonly Measured[], medianOf: MedianOf): BarChart[] {
  return [
    {
      title: 'Wall seconds by stage',
      unit: 's',
      bars: measured.map((one) => ({
        label: one.contender.name,
        parts: Object.keys(one.samples[0]?.stages ?? {}).map((name) => ({
          name,
          value: medianOf(one, (sample) => sample.stages[name] ?? 0),
        })),
      })),
    },
    {
      title: 'CPU seconds by process',
      unit: 's',
      bars: measured.map((one) => ({ label: one.contender.name, parts: cpuParts(one, medianOf) })),
    },
  ];
}
