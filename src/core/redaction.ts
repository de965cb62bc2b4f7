/** Takes secrets out of every text, by value; also those that become known during the run. */

const MASK = '[hidden]';
/** Anything shorter stands in too many words that are no secret. */
const USUAL_MIN_LENGTH = 4;

export class Redactor {
  /** Each secret as it is, as JSON spells it (log lines are JSON), and as URLs do. */
  readonly #spellings = new Set<string>();
  readonly #minLength: number;
  /** Longest first, so that a secret that contains another is replaced whole. */
  #ordered: readonly string[] = [];

  /** @param minLength characters; shorter secrets stay, because they stand in too many words */
  constructor(secrets: readonly string[] = [], minLength = USUAL_MIN_LENGTH) {
    this.#minLength = minLength;
    for (const secret of secrets) this.add(secret);
  }

  /** From now on `secret` is taken out too. Tokens that have run out stay secrets. */
  add(secret: string): void {
    if (secret.length < this.#minLength) return;
    const inJson = JSON.stringify(secret).slice(1, -1);
    for (const spelling of [secret, inJson, encodeURI(secret), encodeURIComponent(secret)]) {
      this.#spellings.add(spelling);
    }
    this.#ordered = [...this.#spellings].sort((a, b) => b.length - a.length);
  }

  redact(text: string): string {
    return this.#ordered.reduce((masked, spelling) => masked.replaceAll(spelling, MASK), text);
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
