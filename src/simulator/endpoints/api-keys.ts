/** Checks the API key of a request: its value, where it was sent, and whether it has expired. */
import type { IncomingMessage } from 'node:http';
import { jsonAnswer, type Answer } from './answer.ts';
import type { SimulatorSettings } from '../settings.ts';
import type { TrafficCounts } from '../traffic.ts';

export interface SentKey {
  readonly key: string;
  /** Sent in the URL instead of the header: such a key has half the budget. */
  readonly inUrl: boolean;
}

export class ApiKeys {
  private readonly firstUseMs = new Map<string, number>();

  /** @returns the request's key, or the answer that refuses it */
  check(
    settings: SimulatorSettings,
    req: IncomingMessage,
    query: URLSearchParams,
    counts: TrafficCounts,
  ): SentKey | Answer {
    const header = req.headers['x-api-key'];
    const fromUrl = query.get('api_key');
    if (fromUrl !== null) counts.keysInUrl += 1;
    const key = typeof header === 'string' ? header : (fromUrl ?? '');
    const nowMs = Date.now();
    const firstMs = this.firstUseMs.get(key) ?? nowMs;
    this.firstUseMs.set(key, firstMs);
    const isWrong = key === '' || (settings.key !== '' && key !== settings.key);
    const isExpired = nowMs - firstMs > settings.keyLifetime * 1000;
    if (!isWrong && !isExpired) return { key, inUrl: typeof header !== 'string' };
    counts.refusedKeys += 1;
    const code = isExpired && !isWrong ? 'API_KEY_EXPIRED' : 'INVALID_API_KEY';
    return jsonAnswer(Number(settings.keyRefusedAs), {
      error: 'Unauthorized',
      code,
      message: 'Send a valid key as X-API-Key',
    });
  }
}

export const isAnswer = (value: SentKey | Answer): value is Answer => 'status' in value;
