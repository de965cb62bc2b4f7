/** A database at a tenth of its speed: everything must wait for it, and memory must not grow. */
import { TcpProxy } from '../../test/support/tcp-proxy.ts';
import { JOB_CONNECTIONS } from '../contenders/this-project.ts';
import { runJobOnce } from '../measure/job-in-database.ts';
import { BenchServer } from '../measure/server.ts';
import { round } from '../results/statistics.ts';
import type { Suite } from '../suite.ts';

/** About the size of one event in a COPY stream. */
const ROW_BYTES = 190;
const SLOWER = 10;
const PROMISED_MEMORY_MB = 350;

export const suite: Suite = {
  name: 'slow-database',
  title: 'COPY throttled to a tenth',
  byDefault: false,
  promisedAt: 1_000_000,
  run: async (context) => {
    const { events, tuned } = context.options;
    const server = await BenchServer.start(context.folder, { tuned });
    try {
      const setup = { server, events, source: { eventsLimit: 0 }, flags: [] };
      const fast = await runJobOnce(context, setup);
      const copySeconds = fast.stages['fetch, encode, copy'] ?? fast.seconds;
      const bytesPerSecond = (events * ROW_BYTES) / copySeconds / SLOWER / JOB_CONNECTIONS;
      context.say(
        `at full speed ${fast.seconds.toFixed(1)} s; now ${Math.round(bytesPerSecond / 1000)} kB/s a connection`,
      );
      const proxy = await TcpProxy.start(server.address());
      proxy.throttle(bytesPerSecond);
      try {
        const slow = await runJobOnce(context, { ...setup, through: (url) => proxy.urlFor(url) });
        return present(events, figuresOf(fast), figuresOf(slow));
      } finally {
        await proxy.close();
      }
    } finally {
      await server.stop();
    }
  },
};

interface Figures {
  readonly seconds: number;
  readonly peakMemoryMb: number;
}

function figuresOf({ seconds, peakMemoryMb }: Figures): Figures {
  return { seconds, peakMemoryMb };
}

function present(events: number, fast: Figures, slow: Figures) {
  return {
    tables: [
      {
        title: `${events} events`,
        columns: ['database', 'seconds', 'peak MB'],
        rows: [
          ['as it is', round(fast.seconds), Math.round(fast.peakMemoryMb)],
          [`COPY at a ${SLOWER}th`, round(slow.seconds), Math.round(slow.peakMemoryMb)],
        ],
        note: 'Each connection to PostgreSQL goes through a proxy that limits its bytes a second.',
      },
    ],
    charts: [],
    checks: [
      {
        what: 'peak memory with a database ten times as slow',
        target: `≤ ${PROMISED_MEMORY_MB} MB`,
        measured: `${Math.round(slow.peakMemoryMb)} MB`,
        holds: slow.peakMemoryMb <= PROMISED_MEMORY_MB,
      },
    ],
    raw: { fast, slow },
  };
}
