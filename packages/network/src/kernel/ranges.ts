import { isIP } from 'node:net';
import type { NodeBlocks } from '@swarmd/model';
import { addressesOf, canonicalAddress, familyOf, macAddressOf } from './addresses.js';

/** Where an address of a range leads: to a node's data path address. */
export interface RangeEntry {
  address: string;
  node: string;
}

/** The addresses in the ranges of other nodes, by MAC address. Two that follow from the same ranges are the same object. */
export interface RangeTable {
  /** Data path address of the node that it is for. */
  ownAddr: string;
  /** By node ID: what the entries were made of. */
  parts: ReadonlyMap<string, { block: NodeBlocks; entries: ReadonlyMap<string, RangeEntry> }>;
  entries: ReadonlyMap<string, RangeEntry>;
}

/**
 * What follows from the ranges of a network. A network may have tens of thousands of addresses in them, and they change
 * seldom: what `previous` has of the same ranges is taken from there. IPv6 tells no MAC address: it is left out.
 */
export function rangeTable(
  blocks: ReadonlyMap<string, NodeBlocks>,
  ownAddr: string,
  previous?: RangeTable,
): RangeTable {
  const before = previous?.ownAddr === ownAddr ? previous : undefined;
  const isKept = ([nodeId, block]: [string, NodeBlocks]) => before?.parts.get(nodeId)?.block === block;
  if (before?.parts.size === blocks.size && [...blocks].every(isKept)) return before;
  const parts = new Map<string, { block: NodeBlocks; entries: ReadonlyMap<string, RangeEntry> }>();
  const entries = new Map<string, RangeEntry>();
  for (const [nodeId, block] of blocks) {
    const kept = before?.parts.get(nodeId);
    const part = kept?.block === block ? kept : { block, entries: entriesOf(block, ownAddr) };
    parts.set(nodeId, part);
    for (const [mac, entry] of part.entries) if (!entries.has(mac)) entries.set(mac, entry);
  }
  return { ownAddr, parts, entries };
}

function entriesOf({ nodeAddr, ranges }: NodeBlocks, ownAddr: string): Map<string, RangeEntry> {
  const entries = new Map<string, RangeEntry>();
  if (nodeAddr === ownAddr || nodeAddr === '') return entries;
  // A device sends by one version of IP: nodes of the other one are out of its reach.
  if (familyOf(nodeAddr, 'nodeAddr') !== isIP(ownAddr)) return entries;
  const node = canonicalAddress(nodeAddr);
  for (const address of ranges.flatMap(addressesOf)) entries.set(macAddressOf(address), { address, node });
  return entries;
}
