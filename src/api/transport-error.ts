/** Why no whole answer arrived. */

/**
 * - `unreachable`: no connection (refused, no such host, timeout)
 * - `untrusted`: the certificate was not accepted
 * - `closed`: the connection ended before an answer began; a kept-alive one that the server closed between requests ends so
 * - `cut`: the answer began and did not arrive whole
 * - `deadline`: it took longer than the request allows
 * - `protocol`: what came is not HTTP
 */
export type TransportFailure = 'unreachable' | 'untrusted' | 'closed' | 'cut' | 'deadline' | 'protocol';

/** No whole answer arrived. The message holds no secrets. */
export class TransportError extends Error {
  override readonly name = 'TransportError';
  readonly failure: TransportFailure;
  readonly code: string;

  constructor(failure: TransportFailure, code: string, message: string) {
    super(message);
    this.failure = failure;
    this.code = code;
  }
}

/** The system's or undici's code of the deepest error that has one. */
export function errorCode(error: Error): string {
  let code = '';
  let current: unknown = error;
  for (let depth = 0; current instanceof Error && depth < 5; depth += 1) {
    if ('code' in current && typeof current.code === 'string') code = current.code;
    current = current instanceof AggregateError && current.errors.length > 0 ? current.errors[0] : current.cause;
  }
  return code || error.name;
}

const UNTRUSTED = /^(CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_(VERIFY|GET)|ERR_TLS|HOSTNAME_MISMATCH)/;

export function classifyFailure(code: string, began: boolean, connected: boolean): TransportFailure {
  if (UNTRUSTED.test(code)) return 'untrusted';
  if (began) return 'cut';
  if (code.startsWith('HPE_') || code === 'UND_ERR_HEADERS_OVERFLOW') return 'protocol';
  return connected ? 'closed' : 'unreachable';
}
