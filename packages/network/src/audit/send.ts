import { createSocket } from 'node:dgram';
import { isIP } from 'node:net';
import { SwarmdError } from '@swarmd/model';
import type { Run } from './command.js';
import { probePayload } from './listeners.js';

/** A datagram may get lost without anything being wrong. */
const COPIES = 3;
const MAX_TARGETS = 64;
const PINGS_AT_ONCE = 8;
/** Bytes of an IP and ICMP header. */
const PING_HEADERS = { 4: 28, 6: 48 } as const;

/** Another node, and the largest packet that has to get there whole, in bytes. */
export interface ProbeTarget {
  addr: string;
  packetBytes: number;
}

/** Sends probes with a token to `targets` from the address `from`. `invalid-argument` for what is no address. */
export async function sendProbes(
  from: string,
  token: string,
  port: number,
  targets: readonly ProbeTarget[],
): Promise<void> {
  checkTargets(targets);
  const payload = probePayload(token);
  const socket = createSocket(isIP(from) === 6 ? 'udp6' : 'udp4');
  // Whoever cannot be sent to hears nothing, which is found there.
  socket.on('error', () => {});
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', (cause) =>
        reject(new SwarmdError('unavailable', `nothing can be sent from ${from}: ${cause.message}`, { cause })),
      );
      socket.bind({ address: from, port: 0 }, resolve);
    });
    for (let copy = 0; copy < COPIES; copy++) {
      for (const { addr } of targets) await new Promise((resolve) => socket.send(payload, port, addr, resolve));
    }
  } finally {
    socket.close();
  }
}

/**
 * Pings `targets` with small packets, and with ones of the full size that nobody on the way may cut; `undefined` where there
 * is no ping. A host that answers no small ones tells nothing of its size.
 */
export async function pingTargets(
  run: Run,
  from: string,
  targets: readonly ProbeTarget[],
  signal?: AbortSignal,
): Promise<{ addr: string; small: boolean; full: boolean }[] | undefined> {
  checkTargets(targets);
  const results: { addr: string; small: boolean; full: boolean }[] = [];
  let missing = false;
  const ping = async (addr: string, bytes: number): Promise<boolean> => {
    const size = Math.max(0, bytes - PING_HEADERS[isIP(addr) === 6 ? 6 : 4]);
    const argv = [
      'ping',
      '-n',
      '-q',
      '-c',
      '2',
      '-i',
      '0.2',
      '-W',
      '1',
      '-M',
      'do',
      '-s',
      String(size),
      '-I',
      from,
      addr,
    ];
    const { code } = await run(argv, { signal });
    if (code === -1) missing = true;
    return code === 0;
  };
  const waiting = [...targets];
  const work = async (): Promise<void> => {
    for (let target = waiting.shift(); target !== undefined && !missing; target = waiting.shift()) {
      const small = await ping(target.addr, 84);
      results.push({ addr: target.addr, small, full: small && (await ping(target.addr, target.packetBytes)) });
    }
  };
  await Promise.all(Array.from({ length: PINGS_AT_ONCE }, work));
  return missing ? undefined : results;
}

function checkTargets(targets: readonly ProbeTarget[]): void {
  if (targets.length > MAX_TARGETS)
    throw new SwarmdError('invalid-argument', `at most ${MAX_TARGETS} targets at a time`, { field: 'targets' });
  for (const { addr } of targets)
    if (isIP(addr) === 0)
      throw new SwarmdError('invalid-argument', `${JSON.stringify(addr)} is no IP address`, { field: 'targets' });
}
