import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { run } from '../command.js';
import { callEngine } from '../engine-api.js';
import { cacheDirectory } from '../state.js';

/** How containers of an image start: the `config` object of the image's own JSON (OCI image specification). */
export interface ImageConfig {
  Cmd?: readonly string[];
  Entrypoint?: readonly string[];
  Env?: readonly string[];
  ExposedPorts?: Record<string, object>;
  Volumes?: Record<string, object>;
  StopSignal?: string;
  User?: string;
  WorkingDir?: string;
  Labels?: Record<string, string>;
  /** Times in nanoseconds. */
  Healthcheck?: {
    Test: readonly string[];
    Interval?: number;
    Timeout?: number;
    Retries?: number;
    StartPeriod?: number;
  };
}

/** An image before any engine has it: the tar of its one layer and how it starts. */
export interface ImageFile {
  tarFile: string;
  config: ImageConfig;
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

/**
 * Gives an engine an image under every one of `names` (`repository:tag`); resolves with its ID, which is the same on
 * every engine. Goes by `docker load`: `docker import` takes neither a stop signal nor a health check.
 */
export async function importImage(engine: EngineAddress, image: ImageFile, names: readonly string[]): Promise<string> {
  const work = await mkdtemp(join(cacheDirectory(), 'load-'));
  try {
    const config = JSON.stringify({
      ...{ architecture: architectures[process.arch] ?? process.arch, os: 'linux', created: '2024-01-01T00:00:00Z' },
      config: image.config,
      rootfs: { type: 'layers', diff_ids: [`sha256:${await digestOf(image.tarFile)}`] },
    });
    const id = createHash('sha256').update(config).digest('hex');
    const manifest = [{ Config: `${id}.json`, RepoTags: names.map(fullName), Layers: ['layer.tar'] }];
    await writeFile(join(work, `${id}.json`), config);
    await writeFile(join(work, 'manifest.json'), JSON.stringify(manifest));
    await symlink(image.tarFile, join(work, 'layer.tar'));
    const packer = spawn('tar', ['-c', '-h', '-C', work, '-f', '-', '.'], { stdio: ['ignore', 'pipe', 'ignore'] });
    const path = '/images/load?quiet=1';
    const body = packer.stdout;
    await callEngine(socketOf(engine), { method: 'POST', path, body, timeoutMs: importTimeoutMs });
    return `sha256:${id}`;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Docker's names of processor architectures, by Node's. */
const architectures: Readonly<Partial<Record<NodeJS.Architecture, string>>> = { x64: 'amd64', ia32: '386' };

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

function fullName(name: string): string {
  const { repository, tag } = splitName(name);
  return `${repository}:${tag}`;
}

/** Repository and tag of an image's name; the tag is `latest` when it has none. */
export function splitName(name: string): { repository: string; tag: string } {
  const colon = name.lastIndexOf(':');
  if (colon <= name.lastIndexOf('/')) return { repository: name, tag: 'latest' };
  return { repository: name.slice(0, colon), tag: name.slice(colon + 1) };
}
