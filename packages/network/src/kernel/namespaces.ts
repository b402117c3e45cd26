import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmdirSync,
  stat,
  statfsSync,
  unlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import type { Namespaces } from '../parts.js';
import { type KernelView, readKernel } from './kernel-view.js';
import { readMark } from './mark.js';
import { NETLINK_PROTOCOLS, openNetlink, withNetlink } from './netlink.js';
import { openListener, openSocket } from './sockets.js';
import { CLONE_NEWNET, errorName, loadSystemCalls, type SystemCalls, succeeded } from './syscalls.js';

/** {@link Namespaces}, and what the kernel's side needs beyond entering them. */
export interface KernelNamespaces extends Namespaces {
  /** Path of this process's own namespace; it holds in other processes, and while this thread is elsewhere. */
  readonly own: string;
  /** Makes a network's namespace, with nothing in it but `lo`; whether it had to. */
  create(networkId: string): boolean;
  exists(networkId: string): boolean;
  /** Forgets a namespace: it is gone once no process and no socket is in it. One that is not there is fine. */
  remove(networkId: string): void;
  /** Paths of all there are. */
  list(): string[];
  /** Removes all, and the directory they were in. */
  removeAll(): void;
  /** What links, addresses and neighbours are there: takes a fraction of a millisecond, and starts nothing. */
  view(path: string): KernelView;
  /** Which rules were last loaded there, see `markOf`; empty without any. */
  mark(path: string): string;
}

const MS_BIND = 4096;
const MS_REC = 16384;
const MS_SHARED = 1 << 20;
const MNT_DETACH = 2;
/** Of the file system that namespaces are files of. */
const NSFS_MAGIC = 0x6e73_6673;
const NAME_LENGTH = 12;
const EXIT_LOST = 70;

/**
 * The network namespaces that are files in the directory `root` (`/run/swarmd/netns`), as `ip netns` has them in
 * another. To be made once a process, on the main thread.
 */
export function createNamespaces(root: string): KernelNamespaces {
  const calls = loadSystemCalls();
  const ownFd = openSync('/proc/self/ns/net', 'r');
  // Threads of Node.js's pool are made at their first use, in the namespace that this thread is in at that moment.
  stat('/', () => {});
  const inside = enter(calls, ownFd);
  const pathOf = (networkId: string): string => join(root, nameOf(networkId));
  const list = (): string[] => (existsSync(root) ? readdirSync(root).map((name) => join(root, name)) : []);
  const removeFile = (path: string): void => {
    // A file that is no namespace (any more) has nothing to unmount.
    const name = errorName(calls.umount(path, MNT_DETACH));
    if (name !== '' && name !== 'EINVAL' && name !== 'ENOENT') {
      throw new SwarmdError('internal', `cannot unmount ${path}: ${name}`);
    }
    if (existsSync(path)) unlinkSync(path);
  };
  return {
    own: `/proc/${process.pid}/fd/${ownFd}`,
    inside,
    pathOf,
    list,
    exists: (networkId) => isNamespace(pathOf(networkId)),
    create(networkId) {
      const path = pathOf(networkId);
      if (isNamespace(path)) return false;
      mountRoot(calls, root);
      closeSync(openSync(path, 'a', 0o444));
      try {
        makeNamespace(calls, ownFd, path);
      } catch (thrown) {
        unlinkSync(path);
        throw thrown;
      }
      return true;
    },
    remove: (networkId) => removeFile(pathOf(networkId)),
    removeAll() {
      for (const path of list()) removeFile(path);
      calls.umount(root, MNT_DETACH);
      if (existsSync(root)) rmdirSync(root);
    },
    view: (path) => withNetlink(() => inside(path, () => openNetlink(calls, NETLINK_PROTOCOLS.route)), readKernel),
    mark: (path) => withNetlink(() => inside(path, () => openNetlink(calls, NETLINK_PROTOCOLS.netfilter)), readMark),
    listen: (path, protocol, address, port) => inside(path, () => openListener(calls, protocol, address, port)),
    socket: (path, protocol, address, port) => inside(path, () => openSocket(calls, protocol, address, port)),
  };
}

/** A network's ID is part of a path: anything but letters and digits is refused. */
function nameOf(networkId: string): string {
  if (!/^[a-zA-Z0-9]+$/.test(networkId)) {
    throw new SwarmdError('invalid-argument', `invalid network ID '${networkId}': must be letters and digits`);
  }
  return networkId.slice(0, NAME_LENGTH);
}

function isNamespace(path: string): boolean {
  return existsSync(path) && statfsSync(path).type === NSFS_MAGIC;
}

function enter(calls: SystemCalls, ownFd: number): Namespaces['inside'] {
  let current = ownFd;
  return (path, fn) => {
    const before = current;
    const fd = openSync(path, 'r');
    try {
      succeeded(calls.setns(fd, CLONE_NEWNET), `enter network namespace ${path}`);
      current = fd;
      return fn();
    } finally {
      if (current === fd) {
        leave(calls, before);
        current = before;
      }
      closeSync(fd);
    }
  };
}

/** All that this process does afterwards would happen in the wrong place: rather nothing does. */
function leave(calls: SystemCalls, fd: number): void {
  const result = calls.setns(fd, CLONE_NEWNET);
  if (result === 0) return;
  process.stderr.write(`cannot return to the own network namespace (${errorName(result)}): exiting\n`);
  process.exit(EXIT_LOST);
}

function makeNamespace(calls: SystemCalls, ownFd: number, path: string): void {
  succeeded(calls.unshare(CLONE_NEWNET), 'make a network namespace');
  try {
    succeeded(calls.mount('/proc/thread-self/ns/net', path, 'none', MS_BIND), `mount a network namespace on ${path}`);
  } finally {
    leave(calls, ownFd);
  }
}

/** Mounts that processes copied into mount namespaces of their own would keep a namespace alive, were this not shared. */
function mountRoot(calls: SystemCalls, root: string): void {
  mkdirSync(root, { recursive: true, mode: 0o755 });
  const share = () => calls.mount('', root, 'none', MS_SHARED | MS_REC);
  if (errorName(share()) !== 'EINVAL') return;
  succeeded(calls.mount(root, root, 'none', MS_BIND | MS_REC), `mount ${root}`);
  succeeded(share(), `share the mount ${root}`);
}
