import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SwarmdError } from '@swarmd/model';
import { run, tryRun } from '../command.js';
import { cacheDirectory } from '../state.js';
import { busyboxRootVersion, fillBusyboxRoot } from './busybox.js';
import { cachedTar, type ImageConfig, type ImageFile } from './tar.js';

/** What goes into an image made from Debian's packages, on top of a busybox root. */
export interface DebianRecipe {
  /** Name of the file in the cache. */
  name: string;
  packages: readonly string[];
  /** Packages that those depend on and whose files the image does without. */
  assumed: readonly string[];
  /** Programs, libraries and folders of the packages, with shell patterns; shared libraries come along. */
  files: readonly string[];
  /** Patterns of names within `files` to leave out. */
  except?: readonly string[];
  /** Files written on top, by path; those below a `bin` folder can be run. */
  texts: Readonly<Record<string, string>>;
  /** Shell script run in the finished root, for folders, links and owners. */
  finish?: string;
  config: ImageConfig;
}

const fetchTimeoutMs = 600_000;
const fetchScript = fileURLToPath(new URL('../../../../../../deploy/lib/fetch-packages.sh', import.meta.url));

/**
 * Makes an image from the packages of this machine's Debian without any registry. The tar is kept in the cache, so
 * only the first call needs the network; without one, programs installed on this machine are taken.
 */
export async function buildDebianImage(recipe: DebianRecipe): Promise<ImageFile> {
  const tarFile = await cachedTar(
    recipe.name,
    JSON.stringify({ ...recipe, config: null, busyboxRootVersion }),
    async (root) => {
      const directory = join(cacheDirectory(), 'apt');
      await mkdir(directory, { recursive: true });
      const work = await mkdtemp(join(directory, `${recipe.name}-`));
      try {
        await fillBusyboxRoot(root);
        const source = await fetchPackages(recipe, work);
        await copyWithLibraries(recipe, source, root);
        for (const [path, text] of Object.entries(recipe.texts)) {
          const file = join(root, path);
          await mkdir(dirname(file), { recursive: true });
          const mode = /\/s?bin\//.test(path) ? 0o755 : 0o644;
          await rm(file, { force: true });
          await writeFile(file, text, { mode });
        }
        if (recipe.finish) await run(['sh', '-e', '-c', `cd "$1"\n${recipe.finish}`, 'finish', root]);
      } finally {
        await rm(work, { recursive: true, force: true });
      }
    },
  );
  return { tarFile, config: recipe.config };
}

/** Folder whose files the image takes: the unpacked packages, or this machine's root when they cannot be fetched. */
async function fetchPackages(recipe: DebianRecipe, work: string): Promise<string> {
  const root = join(work, 'root');
  const argv = [fetchScript, join(work, 'apt'), root, recipe.assumed.join(' '), ...recipe.packages];
  const fetched = await tryRun(argv, { timeoutMs: fetchTimeoutMs });
  if (fetched.code === 0) return root;
  const programs = recipe.files.filter((file) => /\/s?bin\/[^*]*$/.test(file));
  if (programs.length > 0 && programs.every((file) => existsSync(file))) return '/';
  throw new SwarmdError(
    'unavailable',
    `cannot fetch ${recipe.packages.join(', ')} for ${recipe.name}: ${fetched.stderr.trim()}`,
  );
}

async function copyWithLibraries(recipe: DebianRecipe, source: string, root: string): Promise<void> {
  const patterns = recipe.files.map((file) => `.${file}`).join(' ');
  const except = (recipe.except ?? []).map((name) => `! -path '${name}'`).join(' ');
  const listed = await run(['sh', '-c', `cd "$1" && find ${patterns} ! -type d ${except}`, 'list', source]);
  const files = listed.split('\n').filter(Boolean);
  const loader = await loaderOf(source);
  const libraries = new Set<string>([`.${loader}`]);
  for (const file of files) {
    const needed = await tryRun(['chroot', source, loader, '--list', file.slice(1)]);
    // Scripts and data are no programs: the loader refuses them, and they need nothing.
    for (const match of needed.stdout.matchAll(/=> (\/\S+)/g)) libraries.add(`.${match[1]}`);
  }
  const names = [...files, ...libraries].join('\n');
  const copy = 'cd "$1" && tar -c --no-recursion -h -T - -f - | tar -x -C "$2" --keep-directory-symlink -f -';
  await run(['sh', '-c', copy, 'copy', source, root], { input: names, timeoutMs: fetchTimeoutMs });
}

async function loaderOf(source: string): Promise<string> {
  for (const folder of ['lib64', 'lib']) {
    const names = await readdir(join(source, folder)).catch(() => []);
    const loader = names.find((name) => /^ld-linux.*\.so\.\d+$/.test(name));
    if (loader) return `/${folder}/${loader}`;
  }
  throw new SwarmdError('unavailable', `no dynamic loader in ${source}`);
}
