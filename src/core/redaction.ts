/** Secrets of the API, the tokens among them that become known during the run, taken out of every text by value. */
import { redactor } from './logging.ts';

export class Redactor {
  readonly #secrets: string[];
  #redact: (text: string) => string;

  constructor(secrets: readonly string[] = []) {
    this.#secrets = [...secrets];
    this.#redact = redactor(this.#secrets);
  }

  /** From now on `secret` is taken out too. Tokens that have run out stay secrets. */
  add(secret: string): void {
    if (this.#secrets.includes(secret)) return;
    this.#secrets.push(secret);
    this.#redact = redactor(this.#secrets);
  }

  redact(text: string): string {
    return this.#redact(text);
  }
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
