/** Wrong answers: each kind of fault as the status, headers and body that it gives instead of the page. */
import type { ApiTraits, Fault } from './history.ts';

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The connection ends after so many bytes of the body. */
  readonly cutAfter?: number;
}

/** What the right answer would be, in its parts. */
export interface PageParts {
  readonly data: readonly string[];
  readonly limit: number;
  readonly hasMore: boolean;
  readonly nextCursor: string | null;
  /** The cursor to ask for this page again. */
  readonly ownCursor: string;
  readonly total: number;
}

export interface PageAsked {
  readonly hasCursor: boolean;
  readonly isStream: boolean;
}

/** A fault with its own count of the requests that it is about. */
export class ActiveFault {
  readonly #fault: Fault;
  #seen = 0;

  constructor(fault: Fault) {
    this.#fault = fault;
  }

  get kind(): Fault['kind'] {
    return this.#fault.kind;
  }

  strikes({ hasCursor, isStream }: PageAsked): boolean {
    const { on, nth, times, kind } = this.#fault;
    if (kind.startsWith('stream-') && !isStream) return false;
    if (on !== 'any' && (on === 'cursor') !== hasCursor) return false;
    this.#seen += 1;
    return this.#seen >= nth && (times === null || this.#seen < nth + times);
  }
}

export function pageBody(shape: ApiTraits['shape'], parts: PageParts): string {
  const { limit, hasMore, nextCursor, total } = parts;
  const data = `"data":[${parts.data.join(',')}]`;
  if (shape === 'null-cursor') return `{${data},"nextCursor":${JSON.stringify(nextCursor)}}`;
  if (shape === 'doc') return `{${data},"hasMore":${hasMore},"nextCursor":${JSON.stringify(nextCursor)}}`;
  const pagination = JSON.stringify({ limit, hasMore, nextCursor, cursorExpiresIn: 116 });
  const meta = JSON.stringify({ total, returned: parts.data.length, requestId: `r${total}-${parts.data.length}` });
  return `{${data},"pagination":${pagination},"meta":${meta}}`;
}

export function faultyAnswer(kind: Fault['kind'], shape: ApiTraits['shape'], page: PageParts): Answer {
  const end = { ...page, data: [], hasMore: false, nextCursor: null };
  const ok = (body: string): Answer => ({ status: 200, body });
  switch (kind) {
    case 'error-beside-empty-list':
      return ok('{"data":[],"code":"UPSTREAM_TIMEOUT","message":"upstream timed out"}');
    case 'error-beside-empty-list-and-end':
      return ok(pageBody(shape, end).replace(/}$/, ',"code":"UPSTREAM_TIMEOUT","message":"upstream timed out"}'));
    case 'success-false':
      return ok('{"success":false,"data":[]}');
    case 'status-code-in-body':
      return ok('{"statusCode":500,"data":[]}');
    case 'teapot':
      return { status: 418, body: '{"code":"TEAPOT"}' };
    case 'empty-end':
      return ok(pageBody(shape, end));
    case 'empty-and-more':
      return ok(pageBody(shape === 'null-cursor' ? 'doc' : shape, { ...end, hasMore: true }));
    case 'empty-with-cursor':
      return ok(pageBody(shape, { ...end, hasMore: true, nextCursor: page.ownCursor }));
    case 'no-flag':
      return ok(`{"data":[${page.data.join(',')}]}`);
    case '500':
      return { status: 500, body: '{"error":"Internal Server Error"}' };
    case '502-html':
      return { status: 502, body: '<html><body>Bad Gateway</body></html>', headers: { 'content-type': 'text/html' } };
    case '429':
      return { status: 429, body: '{"code":"RATE_LIMIT_EXCEEDED"}', headers: { 'retry-after': '0' } };
    case 'cut-json': {
      const body = pageBody(shape, page);
      return ok(body.slice(0, Math.floor(body.length / 2)));
    }
    case 'cut-body': {
      const body = pageBody(shape, page);
      return { status: 200, body, cutAfter: Math.floor(body.length / 2) };
    }
    case 'stream-403':
      return { status: 403, body: '{"code":"INVALID_STREAM_TOKEN"}' };
    case 'stream-404':
      return { status: 404, body: '{"error":"Not Found"}' };
  }
}
