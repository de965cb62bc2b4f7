/** What piscina loads in a worker: the program that the pool has bundled (src/threads/bundled-worker.ts), a `data:` URL. */
import { workerData } from 'piscina';

const program = await import(workerData.program);
program.usePlan?.(workerData.plan);

export default program.default;
