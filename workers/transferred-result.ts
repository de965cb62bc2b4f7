import { type move, transferableSymbol, valueSymbol } from 'piscina';

/** What `move` of Piscina takes: a value, and the buffers in it that are transferred instead of copied. */
export function transferred(value: object, buffers: readonly ArrayBuffer[]): Parameters<typeof move>[0] {
  return { [transferableSymbol]: buffers, [valueSymbol]: value };
}
