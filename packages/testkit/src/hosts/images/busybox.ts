import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import { run, tryRun } from '../command.js';
import { cachedTar, type EngineAddress, type ImageFile, importImage } from './tar.js';

/** PATH of images, as the official ones have it. */
export const imagePath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const binaries = ['/bin/busybox', '/usr/bin/busybox'];

/** Users and groups of a small root; `nobody` and `www` are there for tests of `--user`. */
const passwd = [
  'root:x:0:0:root:/root:/bin/sh',
  'daemon:x:1:1:daemon:/usr/sbin:/bin/false',
  'www:x:1000:1000:www:/tmp:/bin/sh',
  'nobody:x:65534:65534:nobody:/:/bin/false',
];
const group = ['root:x:0:', 'daemon:x:1:', 'staff:x:50:www', 'www:x:1000:', 'nogroup:x:65534:'];

/** Part of the cache's key of everything built on {@link fillBusyboxRoot}: counts up when that changes. */
export const busyboxRootVersion = 2;

/** Fills a folder with a busybox root: every applet in /bin, /etc/passwd, /etc/group, a /tmp for everyone. */
export async function fillBusyboxRoot(root: string): Promise<void> {
  const binary = binaries.find((file) => existsSync(file));
  // ldd fails for a static program: the only kind that runs in a root without libraries.
  if (!binary || (await tryRun(['ldd', binary])).code === 0) {
    throw new SwarmdError('failed-precondition', 'no static busybox here: run deploy/install-deps.sh test');
  }
  for (const folder of ['bin', 'etc', 'root', 'var', 'usr/bin', 'usr/sbin', 'dev', 'proc', 'sys', 'run', 'www']) {
    await mkdir(join(root, folder), { recursive: true });
  }
  await symlink('../run', join(root, 'var/run'));
  await mkdir(join(root, 'tmp'));
  await chmod(join(root, 'tmp'), 0o1777);
  await copyFile(binary, join(root, 'bin/busybox'));
  await chmod(join(root, 'bin/busybox'), 0o755);
  const applets = (await run([binary, '--list'])).split('\n').filter((name) => name !== '' && name !== 'busybox');
  await run([
    'sh',
    '-c',
    'cd "$1" && shift && for name; do ln -s busybox "$name"; done',
    'link',
    join(root, 'bin'),
    ...applets,
  ]);
  await writeFile(join(root, 'etc/passwd'), `${passwd.join('\n')}\n`);
  await writeFile(join(root, 'etc/group'), `${group.join('\n')}\n`);
}

/** A busybox image made from this machine's busybox-static. */
export async function busyboxImage(): Promise<ImageFile> {
  const tarFile = await cachedTar('busybox', `${busyboxRootVersion} ${passwd} ${group}`, fillBusyboxRoot);
  return { tarFile, config: { Cmd: ['sh'], Env: [`PATH=${imagePath}`] } };
}

/** Gives an engine a busybox image under every one of `names`, `busybox:latest` by default; resolves with its ID. */
export async function importBusyboxImage(
  engine: EngineAddress,
  names: readonly string[] = ['busybox:latest'],
): Promise<string> {
  return importImage(engine, await busyboxImage(), names);
}
