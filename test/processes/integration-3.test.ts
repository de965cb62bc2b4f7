import { runShare } from './share.ts';

await runShare('integration', { part: 3, of: 4 });
