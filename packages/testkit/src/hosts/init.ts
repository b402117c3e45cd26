import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import { run, searchPath, tryRun } from './command.js';
import { mountDataDisk } from './data-disk.js';
import { childrenOf, identify, type ProcessIdentity, until } from './processes.js';
import { type HostState, type LabState, labsRoot } from './state.js';

/**
 * PID 1 of a host. Arguments: the host's directory, its name, the folder of all labs.
 * - What other hosts and the machine's own engine have mounted is let go of: a copy of a mount here would keep
 *   their network namespaces and layers alive after they are gone.
 * - /sys is mounted anew for this network namespace, and the cgroups put back on it: Docker asks for them there.
 * - /etc/resolv.conf may be a link into the old /run.
 */
const initScript = `
set -e
directory=$1 name=$2 labs=$3
hostname "$name"
awk -v labs="$labs/" -v own="$directory/" '
  index($5, own) == 1 { next }
  index($5, labs) == 1 || $5 ~ "^/run/" || $5 ~ "^/var/lib/docker/" { print $5 }' /proc/self/mountinfo |
  tac | xargs -r umount -l 2>/dev/null || true
resolv=$(readlink -f /etc/resolv.conf || echo /etc/resolv.conf)
mount --rbind "$directory/run" /run
mkdir -p /run/lock /etc/docker /var/lib/docker /var/lib/swarmd
mount --bind "$directory/etc-docker" /etc/docker
mount --bind "$directory/docker" /var/lib/docker
mount --bind "$directory/swarmd" /var/lib/swarmd
mkdir -p "$(dirname "$resolv")"
[ -e "$resolv" ] || : >"$resolv"
mount --bind "$directory/resolv.conf" "$resolv"
mount --bind "$directory/hosts" /etc/hosts
mount --bind "$directory/hostname" /etc/hostname
mkdir -p "$directory/cgroup"
mount --rbind /sys/fs/cgroup "$directory/cgroup"
umount -l /sys
mount -t sysfs sysfs /sys
mount --rbind "$directory/cgroup" /sys/fs/cgroup
umount -l "$directory/cgroup"
echo 1 >/proc/sys/net/ipv4/ip_forward
: >/run/host-ready
trap 'exit 0' TERM
while :; do sleep 86400 & wait $!; done
`;

const bootTimeoutMs = 30_000;

/** Starts a host's PID 1 in namespaces of its own and resolves with it as soon as its mounts stand. */
export async function bootHost(lab: LabState, host: HostState, signal?: AbortSignal): Promise<ProcessIdentity> {
  await prepareDirectory(host);
  const log = openSync(join(host.directory, 'init.log'), 'a');
  const tiedToOwner = lab.keep ? [] : ['setpriv', '--pdeathsig', 'KILL', '--'];
  const argv = [
    ...[...tiedToOwner, 'nsenter', `--net=/run/netns/${host.namespace}`, '--'],
    ...['unshare', '--mount', '--uts', '--ipc', '--pid', '--fork', '--kill-child', '--mount-proc'],
    ...['--propagation', 'private', 'bash', '-c', initScript, 'init', host.directory, host.name, labsRoot()],
  ];
  const env = { PATH: searchPath(), LANG: 'C.UTF-8' };
  const child = spawn(argv[0]!, argv.slice(1), { env, detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('exit', () => resolve());
  });
  child.unref();
  let gone = false;
  void ended.then(() => {
    gone = true;
  });
  let init: ProcessIdentity | null = null;
  const ready = join(host.directory, 'run', 'host-ready');
  await until(
    async () => {
      if (gone)
        throw new SwarmdError(
          'unavailable',
          `host ${host.name} did not start: ${(await tail(host, 'init.log')).trim()}`,
        );
      const pid = child.pid === undefined ? undefined : childrenOf(child.pid)[0];
      if (pid !== undefined && existsSync(ready)) init = identify(pid);
      return init !== null;
    },
    { timeoutMs: bootTimeoutMs, what: `host ${host.name} to start`, intervalMs: 10, ...(signal ? { signal } : {}) },
  );
  return init!;
}

/** The last 2,000 bytes of one of a host's logs, for error messages. */
export async function tail(host: HostState, file: string): Promise<string> {
  return (await tryRun(['tail', '-c', '2000', join(host.directory, file)])).stdout;
}

/** Unmounts a host's /run, whose contents a real machine would lose too when it is switched off. */
export async function releaseRun(host: HostState): Promise<void> {
  const directory = join(host.directory, 'run');
  if ((await tryRun(['mountpoint', '-q', directory])).code === 0) await run(['umount', '-l', directory]);
}

async function prepareDirectory(host: HostState): Promise<void> {
  for (const name of ['run', 'docker', 'etc-docker', 'swarmd']) {
    mkdirSync(join(host.directory, name), { recursive: true });
  }
  await mountDataDisk(host);
  await releaseRun(host);
  await run(['mount', '-t', 'tmpfs', '-o', 'mode=755,size=256m', 'tmpfs', join(host.directory, 'run')]);
  writeFileSync(join(host.directory, 'hostname'), `${host.name}\n`);
  writeFileSync(join(host.directory, 'hosts'), `127.0.0.1 localhost\n::1 localhost\n${host.ip} ${host.name}\n`);
}
