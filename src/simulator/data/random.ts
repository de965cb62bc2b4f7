/** Numbers that depend only on a seed and an index. There is no state, so the order of calls does not matter. */

/** A well-mixed 32-bit hash of two 32-bit integers (the finalizer of MurmurHash3, twice). */
export function hash32(seed: number, index: number): number {
  let h = (seed ^ Math.imul(index, 0x9e37_79b1)) | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  h = (h ^ (h >>> 16) ^ Math.imul(index, 0x27d4_eb2f)) | 0;
  h = Math.imul(h ^ (h >>> 15), 0x2c1b_3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a_2d39);
  return (h ^ (h >>> 15)) >>> 0;
}

/** @returns a number in [0, 1) */
export function fraction(seed: number, index: number): number {
  return hash32(seed, index) / 0x1_0000_0000;
}

/** @returns a seed for one purpose, so that one setting does not change what another one draws */
export function purposeSeed(seed: number, purpose: string): number {
  let h = seed >>> 0;
  for (let i = 0; i < purpose.length; i += 1) h = hash32(h, purpose.charCodeAt(i));
  return h;
}

/** @returns a version 4 UUID */
export function uuidText(seed: number, index: number): string {
  const hex = [0, 1, 2, 3]
    .map((part) =>
      hash32(seed ^ (part * 0x0101_0101), index)
        .toString(16)
        .padStart(8, '0'),
    )
    .join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`;
}
