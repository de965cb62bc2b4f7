/**
 * What piscina calls in a worker: decompress, then hand to src/encode. Pure CPU: no socket, timer, database or logger,
 * because the worker blocks while it waits. A faulty page is a result; only a bug or too little memory throws.
 */
import { getPriority, platform, setPriority } from 'node:os';

import { move, transferableSymbol, valueSymbol } from 'piscina';

import type { ColumnPlan } from '../src/core/column-plan.ts';
import { encodePage } from '../src/encode/encode-page.ts';
import { compilePlan, DATASYNC } from '../src/encode/plan/compiled-plan.ts';
import { decodeBody } from '../src/core/body-decoding.ts';
import type { EncodeResult, EncodeTask } from './protocol.ts';

/** On a core that both want, a worker gets a third of the main thread's share. */
const NICER_BY = 5;
const LOWEST_PRIORITY = 19;

yieldToMainThread();

let plan = DATASYNC;

/** Once, before the first page. */
export function usePlan(given: ColumnPlan): void {
  plan = compilePlan(given);
}

/** One page. The result's buffers are moved, not copied: the worker keeps nothing. */
export default function encodeTask(task: EncodeTask): unknown {
  const result = resultOf(task);
  const buffers =
    result.status === 'encoded'
      ? [result.rows, result.body, result.places.timesMs.buffer, result.starts.buffer]
      : [result.body];
  return move(transferred(result, buffers));
}

function resultOf(task: EncodeTask): EncodeResult {
  const startedMs = performance.now();
  const decoded = decodeBody(task.body, task.bodyBytes, task.contentEncoding);
  if ('fault' in decoded) {
    const { body, bodyBytes } = task;
    return { status: 'faulty', ...decoded, apiCode: null, body, bodyBytes };
  }
  const decodedMs = performance.now();
  const { body, bodyBytes } = decoded;
  const page = encodePage(new Uint8Array(body, 0, bodyBytes), { ...task, plan }, task.spare);
  if ('fault' in page) return { status: 'faulty', ...page, body, bodyBytes };
  const timing = { decodeMs: decodedMs - startedMs, encodeMs: performance.now() - decodedMs };
  return { ...page, ...timing, body, bodyBytes };
}

/**
 * With more threads than cores the main thread would wait for a core while its sockets are ready: a third of its delay, as
 * measured by `bench` at full speed. Only Linux gives each thread its own priority; elsewhere this would slow the main
 * thread too (NOTES of setpriority(2)). If a sandbox forbids it, the priority stays as it is.
 */
function yieldToMainThread(): void {
  if (platform() !== 'linux') return;
  try {
    setPriority(Math.min(getPriority() + NICER_BY, LOWEST_PRIORITY));
  } catch {
    return;
  }
}

/** What `move` takes: a value, and the buffers in it that are transferred instead of copied. */
function transferred(value: object, buffers: readonly ArrayBuffer[]): Parameters<typeof move>[0] {
  return { [transferableSymbol]: buffers, [valueSymbol]: value };
}
