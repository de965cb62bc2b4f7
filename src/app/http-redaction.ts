/** Takes secrets out of texts by their value, wherever they stand: a message of the API may echo what it was sent. */

const MASK = '[redacted]';
/** A shorter secret would blacken ordinary words; nobody's real key is so short. */
const MIN_SECRET_LENGTH = 6;

export class Redactor {
  readonly #secrets = new Set<string>();

  constructor(secrets: readonly string[] = []) {
    for (const secret of secrets) this.add(secret);
  }

  /** From now on `secret` is taken out, also as it stands in a URL or in JSON. */
  add(secret: string): void {
    if (secret.length < MIN_SECRET_LENGTH) return;
    for (const form of [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)])
      this.#secrets.add(form);
  }

  redact(text: string): string {
    let clean = text;
    for (const secret of this.#secrets) if (clean.includes(secret)) clean = clean.replaceAll(secret, MASK);
    return clean;
  }
}

/** {@link Redactor} of a fixed list, as a function. */
export function redactor(secrets: readonly string[]): (text: string) => string {
  const instance = new Redactor(secrets);
  return (text) => instance.redact(text);
}

const MAX_EXCERPT_CHARACTERS = 200;
const utf8 = new TextDecoder('utf-8');

/**
 * Beginning of an answer for a message: 200 characters, never half of one, on one line, secrets taken out before the
 * cut, so that no half of one stays.
 */
export function excerpt(body: Uint8Array, secrets: Redactor): string {
  const text = secrets.redact(utf8.decode(body)).replace(/\s+/gu, ' ').trim();
  if (text.length <= MAX_EXCERPT_CHARACTERS) return text;
  // By code points: a cut between the halves of a surrogate pair makes half a character.
  const characters = Array.from(text.slice(0, MAX_EXCERPT_CHARACTERS * 2)).slice(0, MAX_EXCERPT_CHARACTERS);
  return `${characters.join('')}…`;
}
