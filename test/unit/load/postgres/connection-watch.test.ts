import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectionWatch } from '../../../../src/load/postgres/connection-watch.ts';

const BACKEND = { pid: 7, startedAt: 'then' };

/**
 * @param answers what the server says at each check in turn: since when the backend is idle, or that it is not
 * @returns how many checks until it is given up
 */
async function checksUntilGivenUp(answers: readonly (string | null | Error)[]): Promise<number | null> {
  let check = 0;
  const givenUp: number[] = [];
  const watch = new ConnectionWatch(
    () => {
      const answer = answers[check] ?? null;
      check += 1;
      if (answer instanceof Error) return Promise.reject(answer);
      return Promise.resolve(answer === null ? new Map() : new Map([[BACKEND.pid, answer]]));
    },
    { isOverdue: false, noteSilence: () => undefined, noteAnswer: () => undefined },
    1,
  );
  const end = watch.begin(BACKEND, () => {
    givenUp.push(check);
  });
  while (check < answers.length && givenUp.length === 0) await new Promise(setImmediate);
  end();
  return givenUp[0] ?? null;
}

const CASES: {
  readonly what: string;
  readonly answers: readonly (string | null | Error)[];
  readonly at: number | null;
}[] = [
  { what: 'idle since the same moment at two checks is given up', answers: [null, '10:00', '10:00'], at: 3 },
  { what: 'at work is left alone', answers: Array.from({ length: 50 }, () => null), at: null },
  {
    what: 'idle at every check, but at work in between, is left alone',
    answers: ['10:00', '10:01', '10:02', '10:03'],
    at: null,
  },
  { what: 'idle once and at work after that is left alone', answers: ['10:00', null, '10:00', null], at: null },
  { what: 'gone is given up', answers: ['gone', 'gone'], at: 2 },
  {
    what: 'of a server that cannot be asked is given up after a minute',
    answers: Array.from({ length: 20 }, () => new Error('timeout')),
    at: 12,
  },
];

for (const { what, answers, at } of CASES) {
  void test(`a connection whose backend is ${what}`, async () => {
    assert.equal(await checksUntilGivenUp(answers), at);
  });
}

/** A watch of one connection, and what it told in order. */
async function watchTelling(ask: () => Promise<ReadonlyMap<number, string>>, isOverdue: boolean): Promise<string[]> {
  // A watch keeps no process alive.
  const alive = setInterval(() => undefined, 1_000);
  const told = await new Promise<string[]>((resolve) => {
    const told: string[] = [];
    const silence = {
      isOverdue,
      noteSilence: () => told.push('silence'),
      noteAnswer: () => {
        told.push('answer');
        end();
        resolve(told);
      },
    };
    const end = new ConnectionWatch(ask, silence, 5).begin(BACKEND, () => {
      resolve([...told, 'given up']);
    });
  });
  clearInterval(alive);
  return told;
}

void test('a server that takes longer to answer than from one check to the next is silent, until it answers', async () => {
  const slow = (): Promise<ReadonlyMap<number, string>> => new Promise((resolve) => setTimeout(resolve, 40, new Map()));
  assert.deepEqual(await watchTelling(slow, false), ['silence', 'answer']);
});

void test('a connection is given up as soon as its server has been silent for longer than it is waited for', async () => {
  assert.deepEqual(await watchTelling(() => Promise.reject(new Error('timeout')), true), ['silence', 'given up']);
});
