/** Why the database is waited for now, for people who watch. Several callers can wait at once: the newest reason is shown. */
export class DatabaseWaits {
  readonly #show: (reason: string | null) => void;
  readonly #waits = new Set<{ readonly reason: string }>();

  /** @param show gets the reason, and `null` when nothing is waited for any more */
  constructor(show: (reason: string | null) => void = () => undefined) {
    this.#show = show;
  }

  /** @returns ends the wait; may be called twice */
  begin(reason: string): () => void {
    const wait = { reason };
    this.#waits.add(wait);
    this.#showNewest();
    return () => {
      if (this.#waits.delete(wait)) this.#showNewest();
    };
  }

  #showNewest(): void {
    this.#show([...this.#waits].at(-1)?.reason ?? null);
  }
}
