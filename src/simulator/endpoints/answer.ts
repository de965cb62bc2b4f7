/** An HTTP answer before it is sent, and the ways sending it can go wrong. */
import type { ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { brotliCompress, constants, deflate, gzip } from 'node:zlib';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Some are views of the data set: never write to them. */
  readonly parts: readonly Buffer[];
  /** `length` sends Content-Length; with `close` the body ends with the connection. */
  readonly framing: 'length' | 'chunked' | 'close';
}

export const mishaps = ['reset', 'reset-body', 'cut-body', 'hang', 'hang-body', 'close-idle'] as const;
export type Mishap = (typeof mishaps)[number];

/** How long a connection stays idle before it is closed: long enough for a client to reuse it. */
const IDLE_BEFORE_CLOSE_MS = 5;
/** Cheap compression is enough for a test server: five to one on these pages. */
const GZIP_LEVEL = 1;
const BROTLI_QUALITY = 2;

export const jsonAnswer = (status: number, value: unknown, headers: Record<string, string> = {}): Answer => ({
  status,
  headers: { 'Content-Type': 'application/json; charset=utf-8', ...headers },
  parts: [Buffer.from(JSON.stringify(value))],
  framing: 'length',
});

export const htmlAnswer = (status: number, title: string): Answer => ({
  status,
  headers: { 'Content-Type': 'text/html' },
  parts: [
    Buffer.from(
      `<html>\r\n<head><title>${title}</title></head>\r\n<body>\r\n<center><h1>${title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n`,
    ),
  ],
  framing: 'length',
});

export const bodyBytes = (answer: Answer): number => answer.parts.reduce((sum, part) => sum + part.length, 0);

/** @returns the first `bytes` bytes of a body, as views */
function cutParts(parts: readonly Buffer[], bytes: number): Buffer[] {
  const kept: Buffer[] = [];
  let left = bytes;
  for (const part of parts) {
    if (left <= 0) break;
    kept.push(part.subarray(0, left));
    left -= part.length;
  }
  return kept;
}

/** What a fault leaves of a body whose length nothing tells: the rest of it is cut off. @param cutAt share of the body that stays */
export function cutAnswer(answer: Answer, fault: string | null, cutAt: number): Answer {
  if (fault !== 'cut-chunked' && fault !== 'cut-close') return answer;
  const parts = cutParts(answer.parts, Math.floor(bodyBytes(answer) * cutAt));
  return { ...answer, parts, framing: fault === 'cut-chunked' ? 'chunked' : 'close' };
}

/** Compresses the answer in the first encoding of `allowed` that the request accepts. */
export async function compress(
  answer: Answer,
  accepted: string | undefined,
  allowed: readonly string[],
): Promise<Answer> {
  const wanted = (accepted ?? '').split(',').map((part) => part.split(';')[0]?.trim());
  const encoding = allowed.find((name) => wanted.includes(name));
  if (encoding === undefined) return answer;
  const body = Buffer.concat(answer.parts);
  const compressed =
    encoding === 'br'
      ? await promisify(brotliCompress)(body, { params: { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY } })
      : await promisify(encoding === 'gzip' ? gzip : deflate)(body, { level: GZIP_LEVEL });
  return {
    ...answer,
    headers: { ...answer.headers, 'Content-Encoding': encoding, Vary: 'Accept-Encoding' },
    parts: [compressed],
  };
}

/** Sends the answer, or what a mishap leaves of it. `cutAt`: the share of the body that is sent before a cut. */
export function deliver(res: ServerResponse, answer: Answer, mishap: Mishap | null, cutAt: number): void {
  const { socket } = res;
  if (mishap === 'hang' || socket === null) return;
  if (mishap === 'reset') {
    socket.resetAndDestroy();
    return;
  }
  const bytes = bodyBytes(answer);
  if (answer.framing === 'close') res.removeHeader('Transfer-Encoding');
  res.writeHead(answer.status, {
    ...answer.headers,
    ...(answer.framing === 'length' ? { 'Content-Length': String(bytes) } : {}),
    ...(answer.framing === 'close' ? { Connection: 'close' } : {}),
  });
  if (mishap === 'cut-body' || mishap === 'reset-body' || mishap === 'hang-body') {
    const kept = Buffer.concat(cutParts(answer.parts, Math.floor(bytes * cutAt)));
    res.write(kept, () => {
      if (mishap === 'cut-body') socket.destroySoon();
      if (mishap === 'reset-body') socket.resetAndDestroy();
    });
    return;
  }
  if (mishap === 'close-idle') {
    res.once('finish', () => {
      setTimeout(() => socket.destroy(), IDLE_BEFORE_CLOSE_MS);
    });
  }
  // Corked: head, events and tail leave in one system call, and none is copied.
  res.cork();
  for (const part of answer.parts) res.write(part);
  res.end();
}
