/** What an answer that is no page says: its status, its code, and what its headers and words ask for. Pure. */
import { memberOf, readErrorBody } from './http-answer.ts';
import type { HttpAnswer } from './http-exchange.ts';
import type { LaterRefusal } from './page-wire.ts';
import { readRateLimit } from './rate-limit-headers.ts';

export interface Refusal {
  readonly status: number;
  /** The API's own `code`, upper case as sent; `null` when the body has none (a load balancer's page, say). */
  readonly apiCode: string | null;
  /** How long it asks to wait, ms; `null` when it does not. */
  readonly toldWaitMs: number | null;
  /** Requests that are left, as it says; `null` when it does not. */
  readonly remaining: number | null;
  /** It has words of too many requests, or is what the source says it when there are too many. */
  readonly speaksOfPace: boolean;
  /** The most events that a page may have, as it says; `null` when it does not. */
  readonly maxEvents: number | null;
}

const WORDS_OF_PACE =
  /rate.?limit|too.?many.?(?:requests|calls)|throttl|slow.?down|quota|requests? per (?:second|minute|hour)|enhance your calm|abuse detection/i;
const NAMES_OF_LIMIT = /\b(?:limit|page.?size|per.?page)\b/i;
/** A bound, and the number behind it. The first group: the number itself is too large. */
const BOUND =
  /(?:((?:less|smaller|lower|fewer) than)(?! or)|<=?|≤|equal to|than|exceed|at most|up to|\band\b|\ble\b|max[\w-]*(?: \w+){0,3}?)[\s:="']{0,4}(\d{1,7})\b/gi;
/** Words are looked for in so much of a body. */
const MAX_TEXT = 4_000;
const MAX_DEPTH = 5;

/** @param later refusals of the source that mean "later" */
export function refusalOf(answer: HttpAnswer, later: readonly LaterRefusal[] = []): Refusal {
  const { status } = answer;
  const { apiCode, bytes, json } = readErrorBody(answer);
  const { retryAfterMs, remaining } = readRateLimit(answer.headers, answer.receivedAtMs, json);
  const text = json === null ? new TextDecoder().decode(bytes.subarray(0, MAX_TEXT)) : textOf(json).slice(0, MAX_TEXT);
  return {
    status,
    apiCode,
    toldWaitMs: retryAfterMs,
    remaining,
    speaksOfPace:
      WORDS_OF_PACE.test(text) ||
      later.some((one) => one.status === status && (one.remaining ?? remaining) === remaining),
    maxEvents: readMaxEvents(text),
  };
}

/** All texts and numbers of a JSON value in one, without addresses: those name pages about rate limits, and limits of nothing. */
function textOf(json: unknown, depth = 0): string {
  if (typeof json === 'string') return /^\w+:\/\//.test(json) ? '' : json;
  if (typeof json === 'number') return String(json);
  if (typeof json !== 'object' || json === null || depth > MAX_DEPTH) return '';
  return Object.keys(json)
    .map((name) => (/^(?:le|max|maximum)$/i.test(name) ? `${name} ` : '') + textOf(memberOf(json, name), depth + 1))
    .join(' ; ');
}

/** "limit must be <= 1000", "Input should be less than or equal to 1000", "must be between 1 and 1000": the largest bound. */
function readMaxEvents(text: string): number | null {
  if (!NAMES_OF_LIMIT.test(text)) return null;
  const plain = text.replace(/(\d)[,_](?=\d{3}\b)/g, '$1');
  const bounds = [...plain.matchAll(BOUND)].map(
    ([, isBelow, digits]) => Number(digits) - (isBelow === undefined ? 0 : 1),
  );
  const largest = Math.max(0, ...bounds);
  return largest === 0 ? null : largest;
}
