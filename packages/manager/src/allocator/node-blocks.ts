import type { Network, Node, WriteTx } from '@swarmd/model';
import type { AddressIndex, Provisional } from './address-index.js';
import type { AddressPool } from './address-pool.js';
import { type Cidr, contains, formatCidr, hostBits, parseCidr, parseIp } from './ip.js';
import { isOverlay } from './network-allocation.js';

/** A node's range is this part of a subnet, within these limits (addresses; powers of two, as ranges are in CIDR notation). */
const BLOCK_PART = 1 / 32;
const MIN_BLOCK = 4;
const MAX_BLOCK = 64;
/** Ranges take no more than this part of a subnet together … */
const MAX_BLOCKED_PART = 1 / 2;
/** … and leave at least this part of it to tasks. */
const MIN_FREE_PART = 1 / 8;
/** A node gets another range when it has used more than this part of those that it has. */
const USED_PART = 3 / 4;

/** Addresses in a node's range of a subnet. */
export function blockSize({ family, bits }: Cidr): number {
  return Math.min(MAX_BLOCK, Math.max(MIN_BLOCK, 2 ** hostBits(family, bits) * BLOCK_PART));
}

/** Whether nodes give addresses of a network by themselves, to containers that are no tasks. */
export function hasBlocks(network: Network | undefined): network is Network {
  return network !== undefined && network.Spec.Attachable === true && isOverlay(network);
}

/**
 * The ranges that a node is to have, by network ID: those that it has, on networks that still are, and what it lacks.
 * New ranges are provided in the index; `taken` lists them, to be withdrawn once the node is written. Without a
 * data path, or on networks that are short of addresses, a node gets none.
 */
export function blocksFor(
  tx: WriteTx,
  node: Node,
  index: AddressIndex,
  { nowMs, isShort }: { nowMs: number; isShort(networkId: string): boolean },
): { blocks: Record<string, string[]>; taken: Provisional[] } {
  const blocks: Record<string, string[]> = {};
  const taken: Provisional[] = [];
  for (const networkId of index.networkIds()) {
    const network = tx.get('network', networkId);
    if (!hasBlocks(network)) continue;
    const had = node.AddressBlocks?.[networkId] ?? [];
    const kept = node.DataPath === undefined ? had.filter((block) => usedOf(node, networkId, [block]) > 0) : [...had];
    const pools = isShort(networkId) ? [] : (index.network(networkId)?.pools ?? []);
    for (const [at, pool] of pools.entries()) {
      if (pool !== pools.find(({ cidr }) => cidr.family === pool.cidr.family)) continue;
      if (node.DataPath === undefined || !lacks(node, networkId, kept, pool)) continue;
      const size = blockSize(pool.cidr);
      const offset = hasRoom(pool, size) ? pool.takeBlock(size, nowMs) : undefined;
      if (offset === undefined) continue;
      const given = { networkId, at, offset, blockSize: size };
      index.provide(given);
      taken.push(given);
      kept.push(blockText(pool, offset, size));
    }
    if (kept.length > 0) blocks[networkId] = kept;
  }
  return { blocks, taken };
}

/**
 * Gives back the ranges of a network that their nodes do not use, for tasks that wait. Only nodes that can hear of it
 * give back: what another one has given meanwhile would be given twice. Returns whether there were any.
 */
export function reclaimBlocks(tx: WriteTx, networkId: string): boolean {
  let any = false;
  for (const node of [...tx.all('node')]) {
    const had = node.AddressBlocks?.[networkId];
    if (had === undefined || node.Status.State !== 'ready') continue;
    const used = had.filter((block) => usedOf(node, networkId, [block]) > 0);
    if (used.length === had.length) continue;
    const { [networkId]: _, ...others } = node.AddressBlocks ?? {};
    tx.put('node', { ...node, AddressBlocks: used.length > 0 ? { ...others, [networkId]: used } : others });
    any = true;
  }
  return any;
}

function lacks(node: Node, networkId: string, blocks: readonly string[], pool: AddressPool): boolean {
  const own = blocks.filter((block) => parseCidr(block)?.family === pool.cidr.family);
  const total = own.reduce((sum, block) => sum + sizeOf(block), 0);
  return usedOf(node, networkId, own) >= total * USED_PART;
}

function hasRoom(pool: AddressPool, size: number): boolean {
  const { total } = pool;
  return pool.blocked + size <= total * MAX_BLOCKED_PART && pool.free - size >= total * MIN_FREE_PART;
}

/** How many of a node's containers have addresses in some of its ranges. */
function usedOf(node: Node, networkId: string, blocks: readonly string[]): number {
  const ranges = blocks.flatMap((block) => parseCidr(block) ?? []);
  let used = 0;
  for (const { NetworkID, Addresses } of node.Attachments ?? []) {
    if (NetworkID !== networkId) continue;
    for (const address of Addresses) {
      const ip = parseIp(address);
      if (ip !== undefined && ranges.some((range) => contains(range, ip))) used++;
    }
  }
  return used;
}

function sizeOf(block: string): number {
  const cidr = parseCidr(block);
  return cidr === undefined ? 0 : 2 ** hostBits(cidr.family, cidr.bits);
}

function blockText(pool: AddressPool, from: number, size: number): string {
  const { family, base } = pool.cidr;
  const bits = (family === 4 ? 32 : 128) - Math.log2(size);
  return formatCidr({ family, base: base + BigInt(from), bits });
}
