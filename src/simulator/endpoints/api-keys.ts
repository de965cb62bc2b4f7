/** Who may ask: the key, where it was sent, and whether its time is over. */
import type { IncomingMessage } from 'node:http';
import { jsonAnswer, type Answer } from './answer.ts';
import type { Books } from '../books.ts';
import type { SimulatorSettings } from '../settings.ts';

export interface SentKey {
  readonly key: string;
  /** In the URL instead of the header: half the budget. */
  readonly inUrl: boolean;
}

export class ApiKeys {
  private readonly firstUseMs = new Map<string, number>();

  /** The key of a request, or the answer that refuses it. */
  check(settings: SimulatorSettings, req: IncomingMessage, query: URLSearchParams, books: Books): SentKey | Answer {
    const header = req.headers['x-api-key'];
    const fromUrl = query.get('api_key');
    if (fromUrl !== null) books.keysInUrl += 1;
    const key = typeof header === 'string' ? header : (fromUrl ?? '');
    const nowMs = Date.now();
    const firstMs = this.firstUseMs.get(key) ?? nowMs;
    this.firstUseMs.set(key, firstMs);
    const wrong = key === '' || (settings.key !== '' && key !== settings.key);
    const over = nowMs - firstMs > settings.keyLifetime * 1000;
    if (!wrong && !over) return { key, inUrl: typeof header !== 'string' };
    books.refusedKeys += 1;
    const code = over && !wrong ? 'API_KEY_EXPIRED' : 'INVALID_API_KEY';
    return jsonAnswer(Number(settings.keyRefusedAs), {
      error: 'Unauthorized',
      code,
      message: 'Send a valid key as X-API-Key',
    });
  }
}

export const isAnswer = (value: SentKey | Answer): value is Answer => 'status' in value;
