/** Headers of an answer. */
export class HttpHeaders {
  readonly #values: Readonly<Record<string, string | string[] | undefined>>;

  constructor(values: Readonly<Record<string, string | string[] | undefined>>) {
    this.#values = values;
  }

  /** The first, where it came several times. @param name in lower case */
  get(name: string): string | null {
    const value = this.#values[name];
    return (Array.isArray(value) ? value[0] : value) ?? null;
  }

  /** The same for a list: several lines are one, with commas between. */
  all(name: string): string | null {
    const value = this.#values[name];
    return (Array.isArray(value) ? value.join(', ') : value) ?? null;
  }

  /** All of them, names in lower case; one that came several times has all its values. */
  get entries(): readonly (readonly [name: string, value: string])[] {
    return Object.keys(this.#values).map((name) => [name, this.all(name) ?? '']);
  }
}
