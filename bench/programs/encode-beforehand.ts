/** Usage: encode-beforehand.ts <base URL> <file>. Walks the source once and keeps its batches for the floor. */
import { writeBatches } from '../measure/batches.ts';

const [baseUrl, file] = process.argv.slice(2);
if (baseUrl === undefined || file === undefined) throw new Error('usage: encode-beforehand.ts <base URL> <file>');
const events = await writeBatches(baseUrl, file);
process.stdout.write(`${JSON.stringify({ events })}\n`);
