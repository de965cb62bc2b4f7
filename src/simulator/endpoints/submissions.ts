/** Accepts lists of ids, five for each key, and answers with receipts. */
import type { IncomingMessage } from 'node:http';
import { jsonAnswer, type Answer } from './answer.ts';

const SUBMISSIONS_PER_KEY = 5;
/** Room for well over 3,000,000 UUIDs. A longer body is refused. */
const MAX_BODY_BYTES = 1024 * 1024 * 1024;
const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;

export interface Submission {
  readonly repository: string;
  /** Number of lines that are not empty. */
  readonly eventCount: number;
  readonly bytes: number;
  readonly atMs: number;
}

export class Submissions {
  readonly accepted: Submission[] = [];
  private readonly usedByKey = new Map<string, number>();

  async take(req: IncomingMessage, key: string, repository: string | null): Promise<Answer> {
    if (req.method !== 'POST') return refusal(405, 'METHOD_NOT_ALLOWED', 'Use POST');
    const counted = await countLines(req);
    const used = this.usedByKey.get(key) ?? 0;
    if (repository === null || !/^https?:\/\//.test(repository)) {
      return refusal(400, 'GITHUB_REPO_REQUIRED', 'Name the repository as ?github_repo=URL');
    }
    if (!(req.headers['content-type'] ?? '').startsWith('text/plain')) {
      return refusal(415, 'UNSUPPORTED_MEDIA_TYPE', 'Send text/plain, one event id a line');
    }
    if (counted.bytes > MAX_BODY_BYTES) return refusal(413, 'TOO_LARGE', 'The list is too long');
    if (counted.lines === 0) return refusal(400, 'EMPTY_SUBMISSION', 'The list has no ids');
    if (used >= SUBMISSIONS_PER_KEY)
      return refusal(429, 'SUBMISSION_LIMIT_REACHED', 'All submissions of this key are used');
    this.usedByKey.set(key, used + 1);
    this.accepted.push({ repository, eventCount: counted.lines, bytes: counted.bytes, atMs: Date.now() });
    return jsonAnswer(200, {
      success: true,
      data: {
        submissionId: `sub-${this.accepted.length}`,
        eventCount: counted.lines,
        githubRepo: repository,
        submittedAt: new Date().toISOString(),
        remainingSubmissions: SUBMISSIONS_PER_KEY - used - 1,
      },
      message: `Submission received: ${counted.lines} events`,
    });
  }
}

const refusal = (status: number, code: string, message: string): Answer =>
  jsonAnswer(status, { success: false, error: message, code });

async function countLines(body: AsyncIterable<Uint8Array>): Promise<{ lines: number; bytes: number }> {
  let lines = 0;
  let bytes = 0;
  let inLine = false;
  for await (const chunk of body) {
    bytes += chunk.length;
    for (const byte of chunk) {
      if (byte === NEWLINE) inLine = false;
      else if (!inLine && byte !== CARRIAGE_RETURN) {
        inLine = true;
        lines += 1;
      }
    }
  }
  return { lines, bytes };
}
