/** The vocabulary of a description as data: for editors, for messages and for the documents. */
import { z } from 'zod';
import { descriptionSchema } from './description.ts';

const node = z.looseObject({
  description: z.string().optional(),
  get properties() {
    return z.record(z.string(), node).optional();
  },
  get additionalProperties() {
    return z.union([z.boolean(), node]).optional();
  },
  get items() {
    return node.optional();
  },
  get anyOf() {
    return z.array(node).optional();
  },
});
type Node = z.output<typeof node>;

/** As editors read it (JSON Schema). */
export function jsonSchema(): Readonly<Record<string, unknown>> {
  return z.toJSONSchema(descriptionSchema, { io: 'input' });
}

/** The words that may stand at `path`; those of a list are the words of its elements. */
export function wordsAt(path: readonly string[]): string[] {
  return nodesAt(path)
    .flatMap(alternatives)
    .flatMap(({ properties }) => Object.keys(properties ?? {}));
}

/** What the word at `path` means; `null` where nothing is said of it. */
export function meaningOf(path: readonly string[]): string | null {
  return nodesAt(path).find(({ description }) => description !== undefined)?.description ?? null;
}

function nodesAt(path: readonly string[]): readonly Node[] {
  const words = path.filter((key) => !/^\d+$/.test(key));
  return words.reduce<readonly Node[]>((nodes, key) => nodes.flatMap((one) => inside(one, key)), [whole()]);
}

let parsed: Node | undefined;

function whole(): Node {
  return (parsed ??= node.parse(jsonSchema()));
}

function alternatives(one: Node): readonly Node[] {
  if (one.items !== undefined) return alternatives(one.items);
  return one.anyOf === undefined ? [one] : one.anyOf.flatMap(alternatives);
}

function inside(one: Node, key: string): readonly Node[] {
  return alternatives(one).flatMap(({ properties, additionalProperties }) => {
    const member = properties?.[key] ?? additionalProperties;
    return typeof member === 'object' ? [member] : [];
  });
}
