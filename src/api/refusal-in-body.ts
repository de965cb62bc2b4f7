/** A refusal that comes with a status of success: some gateways tell in the body alone that they were asked too often. */
import { memberOf, readErrorBody } from './http-answer.ts';
import { mayHoldPage, type HttpAnswer } from './http-exchange.ts';
import { refusalOf, type Refusal } from './refusal.ts';

/** A longer body is a page, or no refusal. */
const MAX_BYTES = 4_096;
const MAX_DEPTH = 5;
const TOO_MANY_REQUESTS = 429;

/** `null` unless the answer is an object without any list that speaks of an error, and of too many requests. */
export function refusalInBody(answer: HttpAnswer): Refusal | null {
  if (!mayHoldPage(answer.status) || answer.bodyBytes > MAX_BYTES) return null;
  const { json, apiCode } = readErrorBody(answer);
  if (typeof json !== 'object' || json === null || hasList(json)) return null;
  const isError = apiCode !== null || ['error', 'errors', 'message'].some((name) => memberOf(json, name) !== null);
  const refusal = refusalOf(answer);
  return isError && refusal.speaksOfPace ? { ...refusal, status: TOO_MANY_REQUESTS } : null;
}

/** A page has one, empty or not, however it is wrapped. What lies deeper than any refusal may be anything. */
function hasList(value: unknown, depth = 0): boolean {
  if (Array.isArray(value) || depth > MAX_DEPTH) return true;
  return typeof value === 'object' && value !== null && Object.values(value).some((one) => hasList(one, depth + 1));
}
