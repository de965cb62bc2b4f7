/** A page's own words stand at the end of its body, if not at the beginning. */
const TAIL_BYTES = 65_536;

/**
 * Keeps the beginning and the end of a body that may be larger than memory allows. What is between them is read, so that the
 * end comes, and left out.
 */
export class BodyEnds {
  readonly #buffer: ArrayBuffer;
  readonly #view: Uint8Array;
  readonly #headBytes: number;
  #length = 0;

  /** @param maxBytes kept in all; the buffer has room for them */
  constructor(buffer: ArrayBuffer, maxBytes: number) {
    this.#buffer = buffer;
    this.#view = new Uint8Array(buffer, 0, maxBytes);
    this.#headBytes = Math.max(0, maxBytes - TAIL_BYTES);
  }

  add(chunk: Uint8Array): void {
    const head = chunk.subarray(0, Math.max(0, this.#headBytes - this.#length));
    if (head.length > 0) this.#view.set(head, this.#length);
    this.#length += head.length;
    for (let at = head.length; at < chunk.length;) {
      // Round and round in what is left of the buffer: in the end it holds the last bytes.
      const place = this.#placeOf(this.#length);
      const part = chunk.subarray(at, at + this.#view.length - place);
      this.#view.set(part, place);
      this.#length += part.length;
      at += part.length;
    }
  }

  /** The body in its buffer; `leftOutAt` is where bytes are missing in it, `null` when none are. */
  finish(): { readonly body: ArrayBuffer; readonly bodyBytes: number; readonly leftOutAt: number | null } {
    const body = this.#buffer;
    if (this.#length <= this.#view.length) return { body, bodyBytes: this.#length, leftOutAt: null };
    const tail = this.#view.slice(this.#headBytes);
    const turn = this.#placeOf(this.#length) - this.#headBytes;
    this.#view.set(tail.subarray(turn), this.#headBytes);
    this.#view.set(tail.subarray(0, turn), this.#view.length - turn);
    return { body, bodyBytes: this.#view.length, leftOutAt: this.#headBytes };
  }

  #placeOf(offset: number): number {
    return this.#headBytes + ((offset - this.#headBytes) % (this.#view.length - this.#headBytes));
  }
}
