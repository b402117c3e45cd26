// Joins each program and all it imports into one file beside its compiled sources: a program that opens one file instead
// of hundreds starts in less than half the time. Part of `npm run build`; the compiled sources still run by themselves.
import { readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Programs by the package that holds them. */
const PROGRAMS = { daemon: 'swarmd', network: 'swarmd-net', cli: 'swarmctl' };

/** What comes with machine code stays where it is; `cpu-features` need not be there at all. */
const LEFT_OUT = ['classic-level', 'koffi', 'cpu-features'];

/** What packages in CommonJS count on. */
const BANNER = [
  "import { createRequire as __createRequire } from 'node:module';",
  'const __bundle = import.meta.url;',
  'const require = __createRequire(__bundle);',
].join('\n');

await Promise.all(
  Object.entries(PROGRAMS).map(([name, program]) =>
    build({
      absWorkingDir: root,
      entryPoints: [`packages/${name}/dist/src/main.js`],
      outfile: bundleOf(name, program),
      bundle: true,
      platform: 'node',
      target: 'node20',
      format: 'esm',
      external: LEFT_OUT,
      banner: { js: BANNER },
      logLevel: 'warning',
      plugins: [keepPlaces(dirname(bundleOf(name, program)))],
    }),
  ),
);

function bundleOf(name, program) {
  return join(root, 'packages', name, 'dist', `${program}.mjs`);
}

/** Files that find others beside them still look beside themselves, wherever the bundle is. */
function keepPlaces(folder) {
  return {
    name: 'keep-places',
    setup({ onLoad }) {
      onLoad({ filter: /\.js$/ }, async ({ path }) => {
        const source = await readFile(path, 'utf8');
        if (!/import\.meta\.url|__dirname|__filename/.test(source)) return undefined;
        const place = `new URL(${JSON.stringify(relative(folder, path))}, __bundle)`;
        const file = `require('node:url').fileURLToPath(${place})`;
        const contents = source
          .replaceAll(/\bimport\.meta\.url\b/g, `${place}.href`)
          .replaceAll(/\b__filename\b/g, file)
          .replaceAll(/\b__dirname\b/g, `require('node:path').dirname(${file})`);
        return { contents };
      });
    },
  };
}
