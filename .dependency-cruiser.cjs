// Which room may import which: data flows one way. `npm run check` holds it.
const rooms = {
  core: [],
  encode: ['core'],
  source: ['core'],
  api: ['core', 'source'],
  threads: ['core', 'encode'],
  'embedded-postgres': ['core'],
  load: ['core', 'encode'],
  app: ['core', 'encode', 'source', 'api', 'threads', 'load', 'embedded-postgres', 'simulator'],
  watch: ['core'],
  simulator: ['core', 'source'],
  commands: ['core', 'encode', 'source', 'api', 'threads', 'load', 'embedded-postgres', 'app', 'watch', 'simulator'],
};

module.exports = {
  forbidden: [
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'workers-know-only-the-encoder',
      severity: 'error',
      from: { path: '^workers/' },
      to: { path: '^(src/(?!(core|encode)/)|bench/|test/)' },
    },
    ...Object.entries(rooms).map(([room, allowed]) => ({
      name: `${room}-imports`,
      severity: 'error',
      from: { path: `^src/${room}/` },
      to: { path: '^src/', pathNot: `^src/(${[room, ...allowed].join('|')})/` },
    })),
    {
      name: 'one-home-a-package',
      severity: 'error',
      from: { path: '^(src|workers)/', pathNot: '^(src/api/|src/threads/|workers/|src/simulator/)' },
      to: { path: 'node_modules/(undici|bottleneck|piscina)/' },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
  },
};
