import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { tryRun } from './command.js';
import { releaseDataDisk } from './data-disk.js';
import { cgroupOf } from './engine.js';
import { deleteNamespace } from './network.js';
import { identify, isAlive, killAndWait, killNamespace, type ProcessIdentity, until } from './processes.js';
import { type LabState, labNames, labsRoot, loadLab } from './state.js';
import { removeUplink } from './uplink.js';

const removalTimeoutMs = 60_000;

/** Removes a lab and everything it made: processes, mounts, namespaces, firewall rules, cgroups, files. */
export async function removeLab(lab: LabState): Promise<void> {
  await Promise.all(
    lab.hosts.map(async (host) => {
      await releaseDataDisk(host);
      if (host.init && isAlive(host.init)) await killAndWait(host.init);
      await killNamespace(host.namespace);
      await deleteNamespace(host.namespace);
    }),
  );
  await killNamespace(lab.hubNamespace);
  await deleteNamespace(lab.hubNamespace);
  await removeUplink(lab);
  await unmountBelow(lab.directory);
  await removeCgroups(lab);
  // lab.json goes last: a removal that is cut short can be taken up again.
  for (const name of await readdir(lab.directory).catch(() => [])) {
    if (name !== 'lab.json') await rm(join(lab.directory, name), { recursive: true, force: true, maxRetries: 5 });
  }
  await rm(lab.directory, { recursive: true, force: true, maxRetries: 5 });
}

/** Removes labs that a crashed or killed earlier run has left. */
export async function removeStaleLabs(): Promise<void> {
  for (const name of labNames()) {
    const lab = loadLab(name);
    if (lab && isStale(lab)) await removeOnce(lab);
  }
}

/**
 * Removes a stale lab, or waits for another process that is removing it: were both to go on, the slower one would
 * take away what a new lab has made meanwhile under the same number.
 */
async function removeOnce(lab: LabState): Promise<void> {
  const claim = join(lab.directory, 'removing');
  for (;;) {
    try {
      writeFileSync(claim, JSON.stringify(identify(process.pid)), { flag: 'wx' });
      return await removeLab(lab);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return;
      if (code !== 'EEXIST') throw error;
    }
    const remover = readClaim(claim);
    const finished = () => !isAlive(remover) || !existsSync(lab.directory);
    await until(finished, { timeoutMs: removalTimeoutMs, what: `lab ${lab.name} to be removed` });
    if (!isAlive(remover)) await rm(claim, { force: true });
  }
}

function readClaim(file: string): ProcessIdentity | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ProcessIdentity;
  } catch {
    return null;
  }
}

/** True when nobody can want a lab any more: its owner is gone, or, if it is kept, the machine was started anew. */
export function isStale(lab: LabState): boolean {
  if (lab.keep) return lab.owner.bootId !== identify(process.pid)!.bootId;
  return !isAlive(lab.owner);
}

/** What of a lab is still on this machine, in words; empty after {@link removeLab}. */
export async function remainsOf(lab: LabState): Promise<string[]> {
  const remains: string[] = [];
  for (const namespace of [lab.hubNamespace, ...lab.hosts.map((host) => host.namespace)]) {
    if (existsSync(`/run/netns/${namespace}`)) remains.push(`network namespace ${namespace}`);
  }
  for (const host of lab.hosts) {
    if (isAlive(host.init)) remains.push(`PID 1 of ${host.name}`);
  }
  for (const mount of mountsBelow(lab.directory)) remains.push(`mount ${mount}`);
  for (const directory of cgroupsOf(lab)) remains.push(`cgroup ${directory}`);
  if (existsSync(lab.directory)) remains.push(`folder ${lab.directory}`);
  const processes = await tryRun(['pgrep', '-f', '-a', `${labsRoot()}/${lab.name}/`]);
  remains.push(...processes.stdout.split('\n').filter(Boolean));
  if (lab.uplink) {
    if ((await tryRun(['ip', 'link', 'show', lab.uplink.link])).code === 0) remains.push(`link ${lab.uplink.link}`);
    if ((await tryRun(['nft', 'list', 'table', 'ip', lab.uplink.table])).code === 0) {
      remains.push(`nft table ${lab.uplink.table}`);
    }
  }
  return remains;
}

async function unmountBelow(directory: string): Promise<void> {
  for (const mount of mountsBelow(directory).reverse()) await tryRun(['umount', '-l', mount]);
}

function mountsBelow(directory: string): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return lines.map((line) => line.split(' ')[4] ?? '').filter((path) => path.startsWith(`${directory}/`));
}

async function removeCgroups(lab: LabState): Promise<void> {
  for (const directory of cgroupsOf(lab)) {
    await tryRun(['find', directory, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';']);
  }
}

/** A lab's cgroup below each mounted controller. */
function cgroupsOf(lab: LabState): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const roots = lines.filter((line) => / - cgroup2? /.test(line)).map((line) => line.split(' ')[4] ?? '');
  return [...new Set(roots.map((root) => join(root, cgroupOf(lab))))].filter((directory) => existsSync(directory));
}
