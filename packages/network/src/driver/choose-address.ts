import { type AddressRange, formatAddress } from './addresses.js';

/** What an address is chosen from. */
export interface AddressChoice {
  /** The pool. */
  subnet: AddressRange;
  /** Ranges that this node may take from, those of other families or subnets left out. */
  blocks: readonly AddressRange[];
  /** In their usual form: in use, or the gateway's. */
  taken: ReadonlySet<string>;
  /** Released lately, the longest ago first: others may still know whom they belonged to. */
  released: readonly string[];
}

/** The lowest free address that was not released lately, else the one released longest ago; `undefined` when all are taken. */
export function chooseAddress({ subnet, blocks, taken, released }: AddressChoice): string | undefined {
  const recent = new Set(released);
  const usable = blocks
    .filter(({ family, first, last }) => family === subnet.family && first <= subnet.last && last >= subnet.first)
    .sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
  const inBlocks = new Set<string>();
  for (const block of usable) {
    const last = smaller(block.last, highest(subnet));
    for (let value = larger(block.first, subnet.first + 1n); value <= last; value += 1n) {
      const address = formatAddress({ family: subnet.family, value });
      if (taken.has(address)) continue;
      if (!recent.has(address)) return address;
      inBlocks.add(address);
    }
  }
  return released.find((address) => inBlocks.has(address));
}

/** The last address that a container can have: in IPv4 the one after it reaches all of the subnet. */
function highest({ family, last }: AddressRange): bigint {
  return family === 4 ? last - 1n : last;
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
