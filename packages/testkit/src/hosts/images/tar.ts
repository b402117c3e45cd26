import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../command.js';
import { callEngine } from '../engine-api.js';
import { cacheDirectory } from '../state.js';

/** How containers of an image start, in the words of a Dockerfile: `CMD ["httpd"]`, `ENV A=b`, `EXPOSE 80`. */
export type ImageChanges = readonly string[];

/** An image before any engine has it: the tar of its root and how it starts. */
export interface ImageFile {
  tarFile: string;
  changes: ImageChanges;
}

/** An engine: its socket's path, or whatever knows it, such as a host. */
export type EngineAddress = string | { engineSocket: string };

const importTimeoutMs = 300_000;

/** Path of an engine's socket. */
export function socketOf(engine: EngineAddress): string {
  return typeof engine === 'string' ? engine : engine.engineSocket;
}

/**
 * The tar of a root that `fill` makes, kept in the cache under `name` until `recipe` changes. Two processes may make
 * the same one at once; a reader never sees half a file.
 */
export async function cachedTar(name: string, recipe: string, fill: (root: string) => Promise<void>): Promise<string> {
  const directory = join(cacheDirectory(), 'images');
  const digest = createHash('sha256').update(recipe).digest('hex').slice(0, 12);
  const target = join(directory, `${name}-${digest}.tar`);
  if (existsSync(target)) return target;
  await mkdir(directory, { recursive: true });
  const work = await mkdtemp(join(directory, 'new-'));
  try {
    const root = join(work, 'root');
    await mkdir(root, { mode: 0o755 });
    await fill(root);
    // The same contents give the same layer wherever the tar was made.
    const stable = ['--sort=name', '--mtime=2024-01-01T00:00:00Z', '--numeric-owner'];
    await run(['tar', ...stable, '-C', root, '-cf', join(work, 'image.tar'), '.'], { timeoutMs: importTimeoutMs });
    await rename(join(work, 'image.tar'), target);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return target;
}

/** Imports an image under every one of `names` (`repository:tag`); resolves with its ID. */
export async function importImage(engine: EngineAddress, image: ImageFile, names: readonly string[]): Promise<string> {
  const socket = socketOf(engine);
  const query = new URLSearchParams({ fromSrc: '-' });
  for (const change of image.changes) query.append('changes', change);
  const path = `/images/create?${query}`;
  const body = createReadStream(image.tarFile);
  const answer = await callEngine(socket, { method: 'POST', path, body, timeoutMs: importTimeoutMs });
  const id = /sha256:[0-9a-f]{64}/.exec(answer)?.[0];
  if (!id) throw new Error(`the engine did not name the imported image: ${answer.trim()}`);
  for (const name of names) {
    const { repository, tag } = splitName(name);
    const target = new URLSearchParams({ repo: repository, tag });
    await callEngine(socket, { method: 'POST', path: `/images/${id}/tag?${target}` });
  }
  return id;
}

/** Repository and tag of an image's name; the tag is `latest` when it has none. */
export function splitName(name: string): { repository: string; tag: string } {
  const colon = name.lastIndexOf(':');
  if (colon <= name.lastIndexOf('/')) return { repository: name, tag: 'latest' };
  return { repository: name.slice(0, colon), tag: name.slice(colon + 1) };
}
