/** The walk of one window, without a database: what it asks for, what ends it, and what it does when workers die. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { pino } from 'pino';
import { ApiStreamReader } from '../../../src/app/api-stream-reader.ts';
import { unknownTraits, type EndpointTraits } from '../../../src/app/walk/endpoint-traits.ts';
import { InFlightLimit } from '../../../src/core/in-flight-limit.ts';
import { PageBuffers } from '../../../src/core/page-buffers.ts';
import { PageEncoder } from '../../../src/threads/page-encoder.ts';
import type { LedgerEntry, WindowState } from '../../../src/core/state.ts';
import { WorkerPool } from '../../../src/threads/worker-pool.ts';
import type { PageAnomaly } from '../../../src/core/encoded-page.ts';
import type { ApiClientOptions } from '../../../src/api/api-client.ts';
import type { Simulator } from '../../../src/simulator/simulator.ts';
import { clientFor, simulatorFor } from '../api/api-client-setup.ts';

const WHOLE: WindowState = {
  windowId: 1,
  sinceMs: null,
  untilMs: null,
  safePages: 0,
  cursor: null,
  cursorReceivedAtMs: null,
  cursorFrom: 'stream',
  cursorLimit: null,
  anchorMs: null,
  lastEventMs: null,
  edge: null,
  pageEndMs: null,
  chainServed: null,
  complete: false,
  suspect: false,
  isDoubtful: false,
};

interface Walk {
  readonly reader: ApiStreamReader;
  readonly ledger: LedgerEntry[];
  readonly anomalies: PageAnomaly[];
  readonly inFlight: InFlightLimit;
  readonly traits: EndpointTraits;
  readonly walk: () => ReturnType<ApiStreamReader['walk']>;
}

interface WalkSetup {
  readonly state?: Partial<WindowState>;
  readonly worker?: URL;
  readonly pageSize?: number;
  readonly client?: Partial<ApiClientOptions>;
  readonly isWhole?: boolean;
  /** After a worker has read a page. */
  readonly onEncoded?: () => void;
  readonly onAccepted?: (reader: ApiStreamReader) => void;
}

function walkFor(t: TestContext, simulator: Simulator, setup: WalkSetup = {}): Walk {
  const { client } = clientFor(t, simulator.baseUrl, { endpoint: 'auto', ...setup.client });
  const pool = new WorkerPool({ threads: 1, ...(setup.worker === undefined ? {} : { worker: setup.worker }) });
  t.after(() => pool.destroy());
  const ledger: LedgerEntry[] = [];
  const anomalies: PageAnomaly[] = [];
  const inFlight = new InFlightLimit(3, 64 * 2 ** 20);
  const traits = unknownTraits({ isOrderedByTime: true, hasFlag: false, failureWords: 'unknown' });
  const reader = new ApiStreamReader(
    { ...WHOLE, ...setup.state },
    {
      client,
      encoder: new PageEncoder({
        pool,
        buffers: new PageBuffers(),
        maxEventBytes: 2 ** 24,
        idColumnTypes: { id: 'uuid', sessionId: 'uuid', userId: 'uuid' },
        idType: 'auto',
        onDecided: () => Promise.resolve(),
        onEncoded: setup.onEncoded,
      }),
      inFlight,
      traits,
      pageSize: setup.pageSize ?? 100,
      logger: pino({ level: 'silent' }),
      accept: (page) => {
        ledger.push(page.ledger);
        anomalies.push(...(page.encoded?.anomalies ?? []));
        page.permit.release();
        setup.onAccepted?.(reader);
        return Promise.resolve();
      },
      isStopping: () => false,
      marks: () => ({ topMs: null, recentMs: null }),
      onRetry: () => undefined,
    },
    { isWhole: setup.isWhole ?? true },
  );
  return { reader, ledger, anomalies, inFlight, traits, walk: () => reader.walk(new AbortController().signal) };
}

const served = (ledger: readonly LedgerEntry[]): number => ledger.reduce((sum, entry) => sum + entry.served, 0);

void test('pages are accepted in order without a gap, the last one ends the window, and every permit is released', async (t) => {
  const simulator = await simulatorFor(t, { events: 1_050, latency: 2 });
  const { walk, ledger, inFlight } = walkFor(t, simulator);
  assert.equal(await walk(), 'complete');
  assert.deepEqual(
    ledger.map(({ page }) => page),
    Array.from({ length: 11 }, (_, index) => index + 1),
  );
  assert.deepEqual(
    ledger.map(({ endsWindow }) => endsWindow),
    [...Array.from({ length: 10 }, () => false), true],
  );
  assert.equal(served(ledger), 1_050);
  assert.equal(inFlight.pages, 0);
  assert.equal(simulator.stats().requests.stream, 11);
});

void test('a walk asks for nothing outside of its window', async (t) => {
  const newest = 1_769_541_612_369;
  const simulator = await simulatorFor(t, { events: 3_000, days: 3 });
  const [sinceMs, untilMs] = [newest - 48 * 3_600_000, newest - 24 * 3_600_000];
  const { walk, ledger } = walkFor(t, simulator, { state: { sinceMs, untilMs } });
  assert.equal(await walk(), 'complete');
  assert.ok(Math.abs(served(ledger) - 1_000) < 10, `${served(ledger)} of about 1000`);
  for (const { sinceMs: since, untilMs: until } of simulator.log().filter(({ kind }) => kind === 'stream')) {
    assert.deepEqual([since, until], [sinceMs - 1, untilMs + 1]);
  }
});

void test('while a window is divided no page is asked for that reaches into the part that is given away', async (t) => {
  const newestMs = 1_769_541_612_369;
  const simulator = await simulatorFor(t, { events: 1_000, days: 10 });
  const [sinceMs, cutMs] = [newestMs - 9 * 86_400_000, newestMs - 2.5 * 86_400_000];
  let divide: () => void = () => undefined;
  const { walk } = walkFor(t, simulator, {
    state: { sinceMs },
    onAccepted: (reader) => {
      if (reader.pages > 1) return;
      reader.divideWhile(
        new Promise<void>((resolve) => {
          divide = () => {
            reader.position.sinceMs = cutMs;
            resolve();
          };
        }),
      );
    },
    // The second page has arrived: it was asked for before the division.
    onEncoded: () => {
      if (simulator.stats().requests.stream > 1) divide();
    },
  });
  assert.equal(await walk(), 'complete');
  const asked = simulator.log().flatMap((entry) => (entry.kind === 'stream' ? [entry.sinceMs] : []));
  assert.deepEqual(asked, [sinceMs - 1, sinceMs - 1, cutMs - 1]);
});

/** Ways for a worker to die of a page: it exits, runs out of its memory, or throws. */
const DEATHS = {
  'process.exit': 'process.exit(1);',
  'out of memory': 'const kept = []; for (;;) kept.push(new Array(100_000).fill(kept.length));',
  'a bug': "throw new RangeError('Invalid array length');",
} as const;

/** @returns a worker that dies of a page with `deadly` in it */
async function mortalWorker(t: TestContext, death: keyof typeof DEATHS): Promise<URL> {
  const real = fileURLToPath(new URL('../../../workers/encode-page.ts', import.meta.url));
  return workerOf(
    t,
    `import encode from ${JSON.stringify(real)};
     export default (task) => {
       if (Buffer.from(task.body, 0, task.bodyBytes).includes('deadly')) { ${DEATHS[death]} }
       return encode(task);
     };`,
  );
}

async function workerOf(t: TestContext, code: string): Promise<URL> {
  const folder = await mkdtemp(path.join(tmpdir(), 'worker-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'worker.mjs');
  await writeFile(file, code);
  return pathToFileURL(file);
}

function deadlyEvent(position: number): { position: number; raw: string } {
  const id = `00000000-0000-4000-8000-${String(position).padStart(12, '0')}`;
  return { position, raw: `{"id":"${id}","timestamp":1769541612369,"type":"deadly"}` };
}

for (const death of ['process.exit', 'out of memory', 'a bug'] as const) {
  void test(`an event that kills its worker by ${death} is rejected, and everything around it is accepted`, async (t) => {
    const deadly = deadlyEvent(5);
    const simulator = await simulatorFor(t, { events: 11, rawEvents: [deadly] });
    const { walk, ledger, anomalies, inFlight } = walkFor(t, simulator, {
      worker: await mortalWorker(t, death),
      pageSize: 4,
    });
    assert.equal(await walk(), 'complete');
    assert.equal(served(ledger), 12);
    assert.deepEqual(
      ledger.filter(({ rejected }) => rejected > 0).map((page) => [page.served, page.loaded, page.rejected]),
      [[1, 0, 1]],
    );
    assert.deepEqual(
      anomalies.map(({ kind, field, reason, eventId, position, original }) => [
        ...[kind, field, reason, eventId, position],
        Buffer.from(original).toString(),
      ]),
      [['rejected', 'event', 'worker-died', deadly.raw.slice(7, 43), 0, deadly.raw]],
    );
    assert.equal(inFlight.pages, 0);
  });
}

void test('several events that kill workers are rejected one by one, and then full pages are asked for again', async (t) => {
  const rawEvents = [0, 99, 100, 101].map(deadlyEvent);
  const simulator = await simulatorFor(t, { events: 1_496, rawEvents });
  const { walk, ledger, anomalies } = walkFor(t, simulator, { worker: await mortalWorker(t, 'a bug') });
  assert.equal(await walk(), 'complete');
  assert.equal(served(ledger), 1_500);
  assert.equal(anomalies.length, 4);
  // Pages are small only during the search.
  assert.ok(ledger.length < 40, `${ledger.length} pages`);
});

void test('a walk whose workers die of every page is given up with the reason, and rejects nothing', async (t) => {
  const worker = await workerOf(t, "export default () => { throw new Error('nothing works here'); };");
  const simulator = await simulatorFor(t, { events: 300 });
  const { walk, ledger, inFlight } = walkFor(t, simulator, { worker, pageSize: 20 });
  await assert.rejects(walk(), { name: 'GaveUpError', message: /worker-died/ });
  assert.equal(ledger.length, 0);
  // The permit of the page asked for ahead is released when its request has ended: then the whole limit is free.
  await inFlight.acquire(inFlight.maxBytes, AbortSignal.timeout(20_000));
});

void test('a walk is given up with the reason when the API hands out the same cursor for ever', async (t) => {
  const simulator = await simulatorFor(t, { events: 500, streamAccess: 'absent', faults: { 'same-cursor': 1 } });
  const { walk } = walkFor(t, simulator);
  await assert.rejects(walk(), { name: 'GaveUpError', message: /next cursor is the one that was asked for/ });
});

void test('a walk is given up at a page that lacks its cursor, where it cannot go on by time', async (t) => {
  const simulator = await simulatorFor(t, { events: 500, streamAccess: 'absent', faults: { 'no-cursor': 1 } });
  await assert.rejects(walkFor(t, simulator).walk(), /hasMore, but has no next cursor/);
});

void test('a window that is served from the top in spite of its bounds needs one chain of all windows', async (t) => {
  const simulator = await simulatorFor(t, { events: 500, windows: 'ignored' });
  const { walk, ledger, traits } = walkFor(t, simulator, { state: { untilMs: 1_769_541_612_369 - 20 * 86_400_000 } });
  assert.equal(await walk(), 'needs-chain');
  assert.equal(traits.supportsTimeBounds, false);
  assert.equal(ledger.length, 0);
});

void test('when the stream endpoint is gone, a walk needs one chain of all windows: its cursor is no cursor of the other', async (t) => {
  const simulator = await simulatorFor(t, { events: 500, streamBreaksAfter: 1, streamBreaksAs: '404' });
  const first = walkFor(t, simulator);
  assert.equal(await first.walk(), 'needs-chain', 'also alone');
  const untilMs = 1_769_541_612_369 - 20 * 86_400_000;
  const second = walkFor(t, simulator, { state: { untilMs }, isWhole: false });
  assert.equal(await second.walk(), 'needs-chain');
});

void test('a start does not try a cursor that is too old, where it can go on by time', async (t) => {
  const simulator = await simulatorFor(t, { events: 500 });
  const state = {
    safePages: 2,
    cursor: 'eyJ2IjoyfQ',
    cursorReceivedAtMs: Date.now() - 600_000,
    anchorMs: 1_769_541_612_369 - 12 * 86_400_000,
  };
  const { walk, ledger } = walkFor(t, simulator, { state });
  assert.equal(await walk(), 'complete');
  assert.equal(ledger[0]?.page, 3);
  const [asked] = simulator.log().filter(({ kind }) => kind === 'stream');
  assert.deepEqual([asked?.cursor, asked?.untilMs], [null, state.anchorMs + 1]);
});
