import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { Silence } from '../../../src/api/silence.ts';
import { TransportError } from '../../../src/api/transport-error.ts';

const reasonOf = (silence: Silence): string | null => silence.wait?.reason ?? null;

function silenceOf(afterMs: number): { silence: Silence; log: string[] } {
  const log: string[] = [];
  const write = (line: string): void => {
    log.push((JSON.parse(line) as { msg: string }).msg);
  };
  return { silence: new Silence(pino({}, { write }), afterMs), log };
}

void test('a request without an answer is a wait until one comes, and both are told once', async () => {
  const { silence, log } = silenceOf(30);
  const answers: ((answer: string) => void)[] = [];
  const asked = () => silence.during('/events', () => new Promise<string>((resolve) => answers.push(resolve)));
  const requests = [asked(), asked(), asked()];
  assert.equal(reasonOf(silence), null);
  while (log.length === 0) await delay(1);
  assert.match(reasonOf(silence) ?? '', /^no answer from the API: /);
  answers[0]?.('an answer');
  await requests[0];
  assert.equal(reasonOf(silence), null);
  for (const answer of answers) answer('an answer');
  await Promise.all(requests);
  assert.deepEqual(log, ['no answer from the API; waiting for it', 'the API answers again']);
});

void test('while others are answered, a slow request is no wait', async () => {
  const { silence, log } = silenceOf(60);
  const slow = silence.during('/events', () => delay(150, 'an answer'));
  for (let nth = 0; nth < 6; nth += 1) await silence.during('/events', () => delay(25, 'an answer'));
  assert.equal(reasonOf(silence), null);
  await slow;
  assert.deepEqual(log, []);
});

void test('a request that fails is no answer, and what is not asked is not waited for', async () => {
  const { silence, log } = silenceOf(10);
  await silence.during('/events', () => delay(30, new TransportError('deadline', 'DEADLINE', 'no answer began')));
  assert.equal(reasonOf(silence), null);
  const next = silence.during('/events', () => delay(1, 'an answer'));
  assert.notEqual(reasonOf(silence), null);
  await next;
  assert.deepEqual(log, ['no answer from the API; waiting for it', 'the API answers again']);
});
