// Generates TypeScript from proto/ with buf's binary and ts-proto, both from npm: works offline. Skips when nothing changed.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');
const protoDir = join(root, 'proto');
const outDir = join(here, 'src', 'gen');
const require = createRequire(import.meta.url);
const buf = join(dirname(require.resolve('@bufbuild/buf/package.json')), 'bin', 'buf');
const plugin = join(dirname(require.resolve('ts-proto/package.json')), 'protoc-gen-ts_proto');

const sources = readdirSync(protoDir, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.proto') || name.endsWith('.yaml'))
  .sort()
  .map((name) => readFileSync(join(protoDir, name)));
const digest = createHash('sha256');
for (const source of [...sources, readFileSync(fileURLToPath(import.meta.url))]) digest.update(source);
const stamp = digest.digest('hex');
const stampFile = join(outDir, '.stamp');
if (!existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== stamp) {
  rmSync(outDir, { recursive: true, force: true });
  mkdirSync(outDir, { recursive: true });
  const template = {
    version: 'v2',
    plugins: [
      {
        local: plugin,
        out: relative(root, outDir),
        opt: [
          'outputServices=grpc-js',
          'esModuleInterop=true',
          'importSuffix=.js',
          'oneof=unions-value',
          'env=node',
          'enumsAsLiterals=true',
          'exportCommonSymbols=false',
        ],
      },
    ],
  };
  execFileSync(process.execPath, [buf, 'generate', 'proto', '--template', JSON.stringify(template)], {
    cwd: root,
    stdio: 'inherit',
  });
  writeFileSync(stampFile, stamp);
}
