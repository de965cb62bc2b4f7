/** The header Link (RFC 8288), read as far as a walk needs it. */

const TARGET = /[\s,]*<([^<>]*)>/y;
const PARAMETER = /\s*;\s*([^\s=;,"<>]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?/y;

/**
 * The address of the link with the relation `next`, as it is written; `null` when there is none. Of several the first counts.
 * A link that is about another page than the one that was asked for (`anchor`) is not about the list.
 * @param value all links, with commas between
 */
export function nextLink(value: string): string | null {
  let at = 0;
  for (;;) {
    TARGET.lastIndex = at;
    const target = TARGET.exec(value);
    if (target === null) return null;
    at = TARGET.lastIndex;
    const parameters = new Map<string, string>();
    for (;;) {
      PARAMETER.lastIndex = at;
      const parameter = PARAMETER.exec(value);
      if (parameter === null) break;
      at = PARAMETER.lastIndex;
      const [, name = '', quoted, plain = ''] = parameter;
      // Where a parameter comes twice, the first counts.
      const key = name.toLowerCase();
      if (!parameters.has(key)) parameters.set(key, quoted?.replaceAll(/\\(.)/g, '$1') ?? plain);
    }
    const relations = (parameters.get('rel') ?? '').toLowerCase().split(/\s+/);
    if (relations.includes('next') && !parameters.has('anchor')) return target[1] ?? null;
  }
}
