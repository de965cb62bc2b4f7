/** The way in: `node --import tsx src/main.ts [command] [flags]`. The program itself is program.ts, and faster to load as one module. */
import { keptBundle } from './core/bundle.ts';

await import(keptBundle('program')?.href ?? './program.ts');
