import { isIP } from 'node:net';
import type { NodeNetwork } from '@swarmd/model';
import { markOf } from './mark.js';
import { baseRules, markLines, serviceRule, TABLE } from './rules.js';
import { comparable, emptyTables, type NetworkTables } from './tables.js';

/** Steps from one state of a network's tables to another, in the order in which they are to be taken. */
export interface TableChanges {
  addBridge: string[];
  addIp: string[];
  /** One transaction. */
  nft: string[];
  removeIp: string[];
  removeBridge: string[];
  /** Addresses that new connections are no longer led to. */
  left: string[];
  /** What differs, each a sentence. */
  sentences: string[];
}

/** What leads from `from` to `to`; nothing at all when they are equal. */
export function changesBetween(network: NodeNetwork, from: NetworkTables, to: NetworkTables): TableChanges {
  const changes: TableChanges = {
    addBridge: [],
    addIp: [],
    nft: [],
    removeIp: [],
    removeBridge: [],
    left: [],
    sentences: [],
  };
  const [before, after] = comparable(from, to);
  compareForwarding(before, after, changes);
  compareNeighbours(before, after, changes);
  compareAddresses(from, to, changes);
  compareRules(network, from, to, changes);
  const stay = new Set([...to.chains.values()].flat());
  changes.left = [...new Set([...from.chains.values()].flat())].filter((address) => !stay.has(address));
  return changes;
}

function compareForwarding(from: NetworkTables, to: NetworkTables, changes: TableChanges): void {
  for (const [mac, node] of to.tunnels) {
    if (from.tunnels.get(mac) === node) continue;
    changes.addBridge.push(`fdb replace ${mac} dev vx0 dst ${node} self permanent`);
    changes.sentences.push(`${mac} was not sent to node ${node}`);
  }
  for (const mac of to.bridged) {
    if (from.bridged.has(mac)) continue;
    changes.addBridge.push(`fdb replace ${mac} dev vx0 master static`);
    changes.sentences.push(`the bridge did not know that ${mac} is on another node`);
  }
  for (const [mac, node] of from.tunnels) {
    if (to.tunnels.has(mac)) continue;
    changes.removeBridge.push(`-fdb del ${mac} dev vx0 self`);
    changes.sentences.push(`${mac} was sent to node ${node} though it is not there`);
  }
  for (const mac of from.bridged) {
    if (to.bridged.has(mac)) continue;
    changes.removeBridge.push(`-fdb del ${mac} dev vx0 master`);
    changes.sentences.push(`the bridge took ${mac} for one of another node`);
  }
}

function compareNeighbours(from: NetworkTables, to: NetworkTables, changes: TableChanges): void {
  for (const [link, before, after] of [
    ['vx0', from.neighbours, to.neighbours],
    ['br0', from.backends, to.backends],
  ] as const) {
    for (const [address, mac] of after) {
      if (before.get(address) === mac) continue;
      changes.addIp.push(`neigh replace ${address} lladdr ${mac} dev ${link} nud permanent`);
      changes.sentences.push(`${link} did not know the neighbour ${address}`);
    }
    for (const address of before.keys()) {
      if (after.has(address)) continue;
      changes.removeIp.push(`-neigh del ${address} dev ${link}`);
      changes.sentences.push(`${link} knew ${address}, which is no neighbour of it`);
    }
  }
}

function compareAddresses(from: NetworkTables, to: NetworkTables, changes: TableChanges): void {
  for (const address of to.virtualIps) {
    if (from.virtualIps.has(address)) continue;
    const host = isIP(address) === 4 ? `${address}/32` : `${address}/128`;
    changes.addIp.push(`addr replace ${host} dev br0${isIP(address) === 4 ? '' : ' nodad'}`);
    changes.sentences.push(`the virtual IP ${address} was missing`);
  }
  for (const address of from.virtualIps) {
    if (to.virtualIps.has(address)) continue;
    changes.removeIp.push(`-addr del ${address}/${isIP(address) === 4 ? 32 : 128} dev br0`);
    changes.sentences.push(`the virtual IP ${address} is of no service`);
  }
}

function compareRules(network: NodeNetwork, kernel: NetworkTables, to: NetworkTables, changes: TableChanges): void {
  let from = kernel;
  if (from.base !== to.base) {
    changes.sentences.push('the rules for virtual IPs were not whole');
    // Within one transaction: nothing passes between the old table and the new one.
    changes.nft.push(`add table ${TABLE}`, `delete table ${TABLE}`, ...baseRules(network).lines);
    from = emptyTables();
  }
  const removals: string[] = [];
  for (const [chain, backends] of to.chains) {
    const before = from.chains.get(chain);
    if (before?.length === backends.length && backends.every((address, index) => address === before[index])) continue;
    changes.nft.push(
      ...(before ? [`flush chain ${TABLE} ${chain}`] : [`add chain ${TABLE} ${chain}`]),
      serviceRule(chain, backends),
    );
    changes.sentences.push(`the backends of ${chain} were ${before?.join(', ') || 'none'}`);
  }
  for (const [virtualIp, chain] of from.dispatch) {
    if (to.dispatch.get(virtualIp) === chain) continue;
    changes.nft.push(`delete element ${TABLE} vips${isIP(virtualIp)} { ${virtualIp} }`);
    changes.sentences.push(`the virtual IP ${virtualIp} led to ${chain}`);
  }
  for (const [virtualIp, chain] of to.dispatch) {
    if (from.dispatch.get(virtualIp) === chain) continue;
    changes.nft.push(`add element ${TABLE} vips${isIP(virtualIp)} { ${virtualIp} : goto ${chain} }`);
    changes.sentences.push(`the virtual IP ${virtualIp} did not lead to ${chain}`);
  }
  for (const chain of from.chains.keys()) {
    if (to.chains.has(chain)) continue;
    removals.push(`flush chain ${TABLE} ${chain}`, `delete chain ${TABLE} ${chain}`);
    changes.sentences.push(`${chain} is of no service with backends`);
  }
  for (const address of to.selves) {
    if (!from.selves.has(address)) changes.nft.push(selfElement('add', address));
  }
  for (const address of from.selves) {
    if (!to.selves.has(address)) changes.nft.push(selfElement('delete', address));
  }
  changes.nft.push(...removals);
  if (changes.nft.length > 0) changes.nft.push(...markLines(markOf(to)));
}

function selfElement(verb: 'add' | 'delete', address: string): string {
  return `${verb} element ${TABLE} self${isIP(address)} { ${address} . ${address} }`;
}
