// Writes a packed copy into a folder: the compiled packages that swarmd and swarmctl are made of, their manifests without
// what only developing needs, and the part of the lock file that belongs to them.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Programs that a packed copy holds, as folders of packages. */
const PROGRAMS = ['daemon', 'network', 'cli'];

const [folder] = process.argv.slice(2);
const read = (path) => JSON.parse(readFileSync(path, 'utf8'));
const write = (path, value) => writeFileSync(join(folder, path), `${JSON.stringify(value, null, 2)}\n`);

const manifests = new Map();
const take = (name) => {
  if (manifests.has(name)) return;
  const { devDependencies: _, scripts: __, ...manifest } = read(`packages/${name}/package.json`);
  manifests.set(name, manifest);
  for (const dependency of Object.keys(manifest.dependencies ?? {}))
    if (dependency.startsWith('@swarmd/')) take(dependency.slice('@swarmd/'.length));
};
PROGRAMS.forEach(take);

const workspaces = [...manifests.keys()].sort().map((name) => `packages/${name}`);
const { devDependencies: _, scripts: __, ...root } = read('package.json');
write('package.json', { ...root, workspaces });
for (const [name, manifest] of manifests) {
  mkdirSync(join(folder, 'packages', name), { recursive: true });
  write(`packages/${name}/package.json`, manifest);
  copyProgram(`packages/${name}`);
}

/** What a compiler of other days has left is not taken: only what there is a source of. No maps: nobody has the sources. */
function copyProgram(from) {
  for (const file of readdirSync(join(from, 'src'), { recursive: true })) {
    if (!file.endsWith('.ts')) continue;
    const compiled = join(from, 'dist', 'src', file.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(join(folder, compiled)), { recursive: true });
    const code = readFileSync(compiled, 'utf8').replace(/^\/\/# sourceMappingURL=.*\n?/m, '');
    writeFileSync(join(folder, compiled), code);
  }
  if (existsSync(join(from, 'bin'))) cpSync(join(from, 'bin'), join(folder, from, 'bin'), { recursive: true });
}

const lock = read('package-lock.json');
const packages = {};
for (const [path, entry] of Object.entries(lock.packages)) {
  const { devDependencies: __, ...kept } = entry;
  if (path === '') packages[path] = { ...kept, workspaces };
  else if (path.startsWith('packages/') || entry.link) {
    if (workspaces.includes(entry.resolved ?? path)) packages[path] = kept;
  } else if (!entry.dev && !path.startsWith('test')) packages[path] = kept;
}
write('package-lock.json', { ...lock, packages });
