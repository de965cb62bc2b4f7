import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { GaveUpError, StagingLostError } from '../../../../src/core/errors.ts';
import { readDatabaseUrl } from '../../../../src/load/postgres/connection-settings.ts';
import { ConnectionLostError } from '../../../../src/load/postgres/database-errors.ts';
import { DatabaseWaits } from '../../../../src/load/postgres/database-waits.ts';
import { Outage } from '../../../../src/load/postgres/outage.ts';

const away = new ConnectionLostError('a test', new Error('connection refused'));

interface Told {
  readonly outage: Outage;
  readonly waits: (string | null)[];
  readonly log: string[];
}

function outageOf(options: { readonly maxWaitMs: number; readonly revive?: () => Promise<void> }): Told {
  const waits: (string | null)[] = [];
  const log: string[] = [];
  const outage = new Outage({
    settings: readDatabaseUrl('postgresql://job:secret@127.0.0.1:1/db'),
    logger: pino({}, { write: (line: string) => log.push(line) }),
    waits: new DatabaseWaits((reason) => waits.push(reason)),
    lockHolder: () => null,
    readTimeouts: () => Promise.resolve([]),
    ...options,
  });
  return { outage, waits, log };
}

const countOf = (log: readonly string[], words: string): number => log.filter((line) => line.includes(words)).length;

test('whoever is answered first ends an outage for all, also by an error that is none', async () => {
  for (const isError of [false, true]) {
    const { outage, waits, log } = outageOf({ maxWaitMs: 60_000 });
    let isAway = true;
    const work = async (): Promise<string> => {
      await Promise.resolve();
      if (isAway) throw away;
      if (isError) throw new StagingLostError('staging was emptied');
      return 'done';
    };
    const first = outage.persistently('the first', work).catch((error: unknown) => error);
    const second = outage.persistently('the second', work).catch((error: unknown) => error);
    while (waits.length === 0) await delay(1);
    isAway = false;
    await first;
    assert.equal(waits.at(-1), null);
    await second;
    assert.equal(countOf(log, 'database is away'), 1);
    assert.equal(countOf(log, 'database is back'), 1);
  }
});

test('what was answered before an outage began does not end it', async () => {
  const { outage, waits } = outageOf({ maxWaitMs: 60_000 });
  const slow = outage.persistently('asked before', () => delay(30));
  await delay(5);
  outage.noteSilence();
  await slow;
  assert.notEqual(waits.at(-1), null);
  outage.noteAnswer(performance.now());
  assert.equal(waits.at(-1), null);
});

test('one outage has one clock: who comes later waits no longer, and the time that is told has passed', async () => {
  const { outage, log } = outageOf({ maxWaitMs: 1_200 });
  const startedMs = performance.now();
  const gaveUp = (error: unknown): boolean =>
    error instanceof GaveUpError && /gave up after 1 s without the database/.test(error.message);
  let tries = 0;
  const failing = (): Promise<never> => {
    tries += 1;
    return Promise.reject(away);
  };
  const first = assert.rejects(outage.persistently('first', failing), gaveUp);
  // Its pauses grow, so about half of the time is over then.
  while (tries < 4) await delay(1);
  await Promise.all([
    first,
    assert.rejects(
      outage.persistently('second', () => Promise.reject(away)),
      gaveUp,
    ),
  ]);
  assert.ok(outage.isOverdue);
  await assert.rejects(
    outage.persistently('what is done at the end', () => Promise.reject(away)),
    gaveUp,
  );
  assert.ok(performance.now() - startedMs < 1_700, `${performance.now() - startedMs} ms`);
  assert.equal(countOf(log, 'database is away'), 1);
});

test('a server that only the job can start is started again, and waited for no longer when that fails', async () => {
  let runs = false;
  const revived = outageOf({
    maxWaitMs: 60_000,
    revive: () => {
      runs = true;
      return Promise.resolve();
    },
  });
  await revived.outage.persistently('asking', () => (runs ? Promise.resolve() : Promise.reject(away)));
  const dead = outageOf({ maxWaitMs: 60_000, revive: () => Promise.reject(new GaveUpError('no space left')) });
  await assert.rejects(
    dead.outage.persistently('asking', () => Promise.reject(away)),
    /no space left/,
  );
});
