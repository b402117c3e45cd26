// Generates TypeScript from proto/ with buf's binary and ts-proto, both from npm: works offline. Skips when nothing changed.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const protoDir = join(root, 'proto');
const require = createRequire(import.meta.url);
const buf = join(dirname(require.resolve('@bufbuild/buf/package.json')), 'bin', 'buf');
const plugin = join(dirname(require.resolve('ts-proto/package.json')), 'protoc-gen-ts_proto');

// What is in a directory of proto/, and which package it becomes a part of.
generate('swarmd', join(root, 'packages', 'wire', 'src', 'gen'));
generate('etcd', join(root, 'packages', 'etcd', 'src', 'gen'));

function generate(directory, outDir) {
  const stamp = digestOf(directory);
  const stampFile = join(outDir, '.stamp');
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return;
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
          'useJsTypeOverride=true',
        ],
      },
    ],
  };
  const path = relative(root, join(protoDir, directory));
  execFileSync(process.execPath, [buf, 'generate', 'proto', '--path', path, '--template', JSON.stringify(template)], {
    cwd: root,
    stdio: 'inherit',
  });
  writeFileSync(stampFile, stamp);
}

function digestOf(directory) {
  const sources = readdirSync(join(protoDir, directory), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.proto'))
    .sort()
    .map((name) => join(protoDir, directory, name));
  const digest = createHash('sha256');
  for (const source of [join(protoDir, 'buf.yaml'), ...sources, fileURLToPath(import.meta.url)])
    digest.update(readFileSync(source));
  return digest.digest('hex');
}
