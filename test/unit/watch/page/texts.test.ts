import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bytes, duration, percent, proofText, short, span, whole } from '../../../../src/watch/page/texts.js';

describe('numbers for people', () => {
  it('group digits, or shorten', () => {
    assert.equal(whole(1_234_567), '1,234,567');
    assert.deepEqual([0, 999, 1_000, 99_949, 99_950, 999_499, 999_500, 3_000_000, 12_340_000].map(short), [
      '0',
      '999',
      '1.0k',
      '99.9k',
      '100k',
      '999k',
      '1.00M',
      '3.00M',
      '12.3M',
    ]);
  });

  it('round percents down, so that 100 % is kept for what is complete', () => {
    assert.deepEqual([0, 0.4567, 0.9999, 1].map(percent), ['0.0 %', '45.6 %', '99.9 %', '100 %']);
  });

  it('say durations in the two largest units', () => {
    assert.deepEqual([0, 59.4, 59.5, 200, 3_599, 3_600, 3_899].map(duration), [
      '0 s',
      '59 s',
      '1 min 00 s',
      '3 min 20 s',
      '59 min 59 s',
      '1 h 00 min',
      '1 h 05 min',
    ]);
    assert.deepEqual([0.0042, 0.25, 1.5, 90].map(span), ['4.2 ms', '250 ms', '1.50 s', '1 min 30 s']);
  });

  it('say by what a run is proven, whoever wrote the sentence', () => {
    assert.equal(proofText(null), 'not proven');
    assert.equal(proofText({ kind: 'none', sentence: 'too large' }), 'not proven: too large');
    assert.equal(proofText({ kind: 'api-end', sentence: 'it ended.' }), "by the API's own end: it ended");
    assert.equal(proofText({ kind: 'count', sentence: '5 of 5' }), "by the API's count: 5 of 5");
  });

  it('say bytes in binary units', () => {
    assert.deepEqual([0, 1_023, 1_024, 1_048_575, 12.34 * 2 ** 20, 2 ** 41].map(bytes), [
      '0 B',
      '1023 B',
      '1.0 KiB',
      '1.0 MiB',
      '12.3 MiB',
      '2.0 TiB',
    ]);
  });
});
