/** How much a process keeps in memory, without what V8 goes on compiling for days: that is no growth of the job. */
import { getHeapSnapshot } from 'node:v8';
import { z } from 'zod';

const SNAPSHOT = z.object({
  snapshot: z.object({ meta: z.object({ node_fields: z.array(z.string()), node_types: z.array(z.unknown()) }) }),
  nodes: z.array(z.number()),
});
/** Machine code, feedback and shapes of objects. */
const COMPILED = ['code', 'hidden', 'object shape'];

/** Bytes, after a collection. */
export async function keptBytes(): Promise<number> {
  const parts: string[] = [];
  for await (const part of getHeapSnapshot()) parts.push(String(part));
  const { snapshot, nodes } = SNAPSHOT.parse(JSON.parse(parts.join('')));
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const names = z.array(z.string()).parse(types[fields.indexOf('type')]);
  const compiled = new Set(COMPILED.map((name) => names.indexOf(name)));
  let bytes = 0;
  for (let node = 0; node < nodes.length; node += fields.length) {
    if (compiled.has(nodes[node + fields.indexOf('type')] ?? -1)) continue;
    bytes += nodes[node + fields.indexOf('self_size')] ?? 0;
  }
  return bytes;
}
