import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PageBuffers } from '../../../src/core/page-buffers.ts';

const KIB = 1024;

describe('PageBuffers', () => {
  it('hands out what was given back, the smallest that is large enough', () => {
    const buffers = new PageBuffers();
    const [large, small] = [new ArrayBuffer(400 * KIB), new ArrayBuffer(200 * KIB)];
    buffers.give(large);
    buffers.give(small);
    assert.equal(buffers.take(150 * KIB), small);
    assert.equal(buffers.take(150 * KIB), large);
    assert.equal(buffers.idleBytes, 0);
  });

  it('never hands out one twice', () => {
    const buffers = new PageBuffers();
    buffers.give(new ArrayBuffer(200 * KIB));
    assert.notEqual(buffers.take(100 * KIB), buffers.take(100 * KIB));
  });

  it('makes a new one, a little larger, when none fits', () => {
    const buffers = new PageBuffers();
    buffers.give(new ArrayBuffer(100 * KIB));
    assert.equal(buffers.take(150 * KIB).byteLength, 256 * KIB);
    assert.equal(buffers.idleBytes, 100 * KIB);
  });

  it('has none for a thread that would rather make its own', () => {
    assert.equal(new PageBuffers().takeIdle(100 * KIB), null);
  });

  it('makes small ones exactly as asked, and leaves pages alone for them', () => {
    const buffers = new PageBuffers();
    buffers.give(new ArrayBuffer(200 * KIB));
    assert.equal(buffers.take(500).byteLength, 500);
    assert.equal(buffers.take(0).byteLength, 0);
    assert.equal(buffers.idleBytes, 200 * KIB);
  });

  it('keeps no more than it may, nothing very large, and nothing that was transferred away', () => {
    const buffers = new PageBuffers(500 * KIB);
    buffers.give(new ArrayBuffer(300 * KIB));
    buffers.give(new ArrayBuffer(300 * KIB));
    assert.equal(buffers.idleBytes, 300 * KIB);
    const roomy = new PageBuffers();
    roomy.give(new ArrayBuffer(9 * KIB * KIB));
    const gone = new ArrayBuffer(200 * KIB);
    structuredClone(gone, { transfer: [gone] });
    roomy.give(gone);
    assert.equal(roomy.idleBytes, 0);
  });
});
