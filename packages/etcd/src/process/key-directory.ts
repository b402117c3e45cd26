import { execFile } from 'node:child_process';
import { chmod, mkdir, rename, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SwarmdError } from '@swarmd/model';

/** Who an etcd member is to others, and whom it trusts; all PEM. Secret: it holds the private key. */
export interface EtcdTls {
  caPem: string;
  certificatePem: string;
  keyPem: string;
}

/** Where the files of an {@link EtcdTls} lie. */
export interface KeyFiles {
  caFile: string;
  /** Certificate and private key in one file, so that a change replaces both at once. */
  memberFile: string;
}

const TMPFS_MAGIC = 0x01021994;
const TMPFS_SIZE = '1m';

/**
 * Writes `tls` into `directory` (mode 0700, files 0600), which must be on a tmpfs: private keys never reach a disk. As
 * root mounts one there when it is not. etcd reads the files at every handshake, so that writing them again renews its
 * certificate; a changed CA counts after a restart only. `failed-precondition` without a tmpfs.
 */
export async function writeKeyFiles(directory: string, tls: EtcdTls): Promise<KeyFiles> {
  await ensureTmpfs(directory);
  await chmod(directory, 0o700);
  const files = keyFilesOf(directory);
  await replaceFile(files.caFile, tls.caPem);
  await replaceFile(files.memberFile, `${tls.certificatePem.trim()}\n${tls.keyPem.trim()}\n`);
  return files;
}

/** Removes what {@link writeKeyFiles} wrote; the directory stays. */
export async function removeKeyFiles(directory: string): Promise<void> {
  const { caFile, memberFile } = keyFilesOf(directory);
  await rm(memberFile, { force: true });
  await rm(caFile, { force: true });
}

function keyFilesOf(directory: string): KeyFiles {
  return { caFile: join(directory, 'ca.pem'), memberFile: join(directory, 'member.pem') };
}

async function replaceFile(path: string, text: string): Promise<void> {
  await rm(`${path}.new`, { force: true });
  await writeFile(`${path}.new`, text, { mode: 0o600, flag: 'wx' });
  await rename(`${path}.new`, path);
}

async function ensureTmpfs(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  if ((await statfs(directory)).type === TMPFS_MAGIC) return;
  try {
    const options = `size=${TMPFS_SIZE},mode=0700,nosuid,nodev,noexec`;
    await promisify(execFile)('mount', ['-t', 'tmpfs', '-o', options, 'swarmd', directory]);
  } catch (thrown) {
    const problem = `etcd's private key needs a tmpfs at ${directory}, and none could be mounted`;
    const advice = ': swarmd needs to run as root, or its socket (--host) to lie on a tmpfs';
    throw new SwarmdError('failed-precondition', process.geteuid?.() === 0 ? problem : problem + advice, {
      cause: thrown,
    });
  }
}
