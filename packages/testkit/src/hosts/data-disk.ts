import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { run, tryRun } from './command.js';
import type { HostState } from './state.js';

/** Where a host's own disk for swarmd's data is mounted on this machine. */
function mountPoint(host: HostState): string {
  return join(host.directory, 'swarmd');
}

/** Mounts a disk of the host's own at its data directory, if it is to have one; it keeps what is on it. */
export async function mountDataDisk(host: HostState): Promise<void> {
  const megabytes = host.options.dataDiskMegabytes;
  if (megabytes === undefined || (await tryRun(['mountpoint', '-q', mountPoint(host)])).code === 0) return;
  const image = join(host.directory, 'data-disk.img');
  if (!existsSync(image)) {
    await run(['truncate', '-s', `${megabytes}M`, image]);
    // Nothing kept back for root, who is the one to fill it.
    await run(['mkfs.ext4', '-q', '-m', '0', image]);
  }
  await run(['mount', '-o', 'loop', image, mountPoint(host)]);
  await run(['rm', '-rf', join(mountPoint(host), 'lost+found')]);
}

/** Lets every write to the host's data disk wait, as a disk does that does not answer; or lets them go on. */
export async function setDataDiskStalled(host: HostState, stalled: boolean): Promise<void> {
  await run(['fsfreeze', stalled ? '--freeze' : '--unfreeze', mountPoint(host)]);
}

/** Makes sure that no process hangs on a stalled disk: not even SIGKILL would end it. */
export async function releaseDataDisk(host: HostState): Promise<void> {
  if (host.options.dataDiskMegabytes !== undefined) await tryRun(['fsfreeze', '--unfreeze', mountPoint(host)]);
}
