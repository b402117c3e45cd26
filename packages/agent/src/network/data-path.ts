import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { promisify } from 'node:util';
import type { DataPath } from '@swarmd/wire';

/** Ethernet's, for an address that is none of this host's (behind a NAT). */
const DEFAULT_MTU = 1500;
const PROBE_TIMEOUT_MS = 5_000;

/**
 * How this host can take part in overlays with the address `addr`: the MTU of the interface that has it, and whether the
 * kernel can do IPsec as encrypted overlays use it.
 */
export async function describeDataPath(addr: string): Promise<DataPath> {
  const [mtu, encryption] = await Promise.all([mtuOf(addr), canEncrypt()]);
  return { addr, mtu, encryption };
}

async function mtuOf(addr: string): Promise<number> {
  const found = Object.entries(networkInterfaces()).find(([, own]) => own?.some(({ address }) => address === addr));
  if (found === undefined) return DEFAULT_MTU;
  const mtu = Number(await readFile(`/sys/class/net/${found[0]}/mtu`, 'utf8').catch(() => ''));
  return mtu > 0 ? mtu : DEFAULT_MTU;
}

/**
 * Whether the kernel takes an ESP state with the cipher of encrypted overlays: policies can be written to kernels that
 * have no ESP at all. Tried in a network namespace that is gone afterwards.
 */
async function canEncrypt(): Promise<boolean> {
  const key = `0x${'00'.repeat(20)}`;
  const state = ['src', '192.0.2.1', 'dst', '192.0.2.2', 'proto', 'esp', 'spi', '0x1000', 'reqid', '1'];
  const cipher = ['mode', 'transport', 'aead', 'rfc4106(gcm(aes))', key, '64'];
  const argv = ['--net', 'ip', 'xfrm', 'state', 'add', ...state, ...cipher];
  try {
    await promisify(execFile)('unshare', argv, { timeout: PROBE_TIMEOUT_MS });
    return true;
  } catch {
    return false;
  }
}
