import { getSystemErrorName } from 'node:util';
import { type ErrorCode, SwarmdError } from '@swarmd/model';
import koffi from 'koffi';

/** System calls of Linux that Node.js has no way to make. Each returns its result, or the error number negated. */
export interface SystemCalls {
  setns(fd: number, type: number): number;
  unshare(flags: number): number;
  mount(source: string, target: string, type: string, flags: number): number;
  umount(target: string, flags: number): number;
  socket(domain: number, type: number, protocol: number): number;
  setsockopt(fd: number, level: number, option: number, value: number): number;
  bind(fd: number, address: Uint8Array): number;
  listen(fd: number, backlog: number): number;
}

/** `setns` and `unshare`: a network namespace. */
export const CLONE_NEWNET = 0x4000_0000;

/**
 * Loads the functions from the C library that Node.js itself runs on. They act on the thread that calls: no call of
 * theirs may be made asynchronously.
 */
export function loadSystemCalls(): SystemCalls {
  const library = koffi.load(null);
  const negated = (result: number): number => (result < 0 ? -koffi.errno() : result);
  const setns = library.func('int setns(int fd, int type)');
  const unshare = library.func('int unshare(int flags)');
  const mount = library.func(
    'int mount(const char *source, const char *target, const char *type, unsigned long flags, void *data)',
  );
  const umount2 = library.func('int umount2(const char *target, int flags)');
  const socket = library.func('int socket(int domain, int type, int protocol)');
  const setsockopt = library.func('int setsockopt(int fd, int level, int option, const int *value, uint32_t size)');
  const bind = library.func('int bind(int fd, const uint8_t *address, uint32_t size)');
  const listen = library.func('int listen(int fd, int backlog)');
  return {
    setns: (fd, type) => negated(setns(fd, type)),
    unshare: (flags) => negated(unshare(flags)),
    mount: (source, target, type, flags) => negated(mount(source, target, type, flags, null)),
    umount: (target, flags) => negated(umount2(target, flags)),
    socket: (domain, type, protocol) => negated(socket(domain, type, protocol)),
    setsockopt: (fd, level, option, value) => negated(setsockopt(fd, level, option, [value], 4)),
    bind: (fd, address) => negated(bind(fd, address, address.length)),
    listen: (fd, backlog) => negated(listen(fd, backlog)),
  };
}

/** Name of a negated error number, such as `EINVAL`; empty for a result that is none. */
export function errorName(result: number): string {
  return result < 0 ? getSystemErrorName(result) : '';
}

const codes: Readonly<Record<string, ErrorCode>> = {
  EADDRINUSE: 'in-use',
  EADDRNOTAVAIL: 'failed-precondition',
  EPERM: 'permission-denied',
  EACCES: 'permission-denied',
  ENOENT: 'not-found',
};

/** `result` itself, unless it is a negated error number: then an error that says what was attempted. */
export function succeeded(result: number, attempt: string): number {
  if (result >= 0) return result;
  const name = errorName(result);
  throw new SwarmdError(codes[name] ?? 'internal', `cannot ${attempt}: ${name}`);
}
