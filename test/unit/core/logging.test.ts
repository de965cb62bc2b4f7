import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogging } from '../../../src/core/logging.ts';

function linesOf(
  format: 'json' | 'pretty',
  secrets: readonly string[] = [],
): { lines: string[]; log: ReturnType<typeof createLogging> } {
  const lines: string[] = [];
  const log = createLogging({ format, level: 'info', secrets, write: (line) => lines.push(line) });
  return { lines, log };
}

const FORGED = 'X\r\n[06:00:00] INFO: ingestion complete\u001b[1A\u202e';

void test('text from outside cannot forge a line, in a message, a field or an error', () => {
  for (const format of ['json', 'pretty'] as const) {
    const { lines, log } = linesOf(format);
    log.logger.warn({ cameBack: FORGED, list: [FORGED] }, `a page failed: ${FORGED}`);
    log.logger.fatal({ err: new Error(FORGED) }, 'unexpected');
    const text = lines.join('');
    assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u202e]/);
    for (const line of text.split('\n')) assert.doesNotMatch(line, /^\[06:00:00\]/);
    assert.ok(text.includes('X\\'), text);
  }
});

void test('a line is bounded, whatever came from outside', () => {
  const { lines, log } = linesOf('json');
  log.logger.warn({ cameBack: 'y'.repeat(1_000_000) }, 'x'.repeat(1_000_000));
  assert.ok((lines[0]?.length ?? 0) < 20_000);
});

void test('secrets are taken out of lines, our own words are not', () => {
  const { lines, log } = linesOf('json', ['ingestion', 'k3y-0123456789']);
  log.addSecret('t0ken-0123456789');
  log.logger.info(
    { schema: 'ingestion', url: 'http://a:b@c/', said: 'k3y-0123456789 t0ken-0123456789' },
    'ingestion complete',
  );
  const { msg, schema, url, said } = JSON.parse(lines[0] ?? '') as Record<string, string>;
  assert.deepEqual(
    [msg, schema, url, said],
    ['ingestion complete', '[hidden]', 'http://a:[hidden]@c/', '[hidden] [hidden]'],
  );
});
