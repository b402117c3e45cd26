import { type Clock, idFromBytes, type Random, type Store } from '@swarmd/model';
import type { Logger } from 'pino';
import { eachKey } from '../loop/each-key.js';
import { type Loop, type PassContext, startLoop } from '../loop/loop.js';
import { AddressIndex } from './address-index.js';
import { allocateNetworkIn } from './allocate-network.js';
import { allocateServiceIn } from './allocate-service.js';
import { Giving } from './giving.js';
import { ensureIngress } from './ingress.js';
import { allKeys, type Key, keyOf, markDirty, rankOf } from './keys.js';
import { blocksFor } from './node-blocks.js';
import { Waiting } from './waiting.js';

/** What the allocator needs. */
export interface AllocatorDependencies {
  store: Store;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** What the reconciliations of one allocator share. */
export interface AllocatorState {
  /** Who has which address. */
  index: AddressIndex;
  /** Services whose tasks wait, and networks that wait for a subnet. */
  waiting: Waiting;
}

/**
 * Gives networks their subnets, services their endpoints, nodes their ranges, and takes new tasks on to `pending` with
 * their addresses. A service whose ports or addresses cannot be had keeps its tasks `new` with the reason in
 * `Status.Err`; what is freed is tried again. See `docs/decisions/networks.md`.
 */
export function startAllocator({ store, clock, random, logger }: AllocatorDependencies): Loop {
  const state: AllocatorState = { index: new AddressIndex(), waiting: new Waiting() };
  const reconcileEach = eachKey<Key>((key, context) => reconcile(key, context));
  const reconcile = (key: Key, context: PassContext<Key>): Promise<void> => {
    const { kind, id } = keyOf(key);
    const nowMs = clock.now();
    if (kind === 'service') return allocateService(id, nowMs, context);
    if (kind === 'network') return store.update((tx) => allocateNetworkIn(tx, id, state, nowMs));
    if (kind === 'node') return giveBlocks(id, nowMs);
    return store.update((tx) => ensureIngress(tx, idFromBytes(random.bytes(17))));
  };
  const allocateService = async (id: string, nowMs: number, { wakeAfter }: PassContext<Key>): Promise<void> => {
    let giving: Giving | undefined;
    try {
      await store.update((tx) => {
        giving = new Giving(state.index, tx, nowMs);
        const shortage = allocateServiceIn(tx, id, giving);
        state.waiting.setService(id, shortage);
        if (shortage?.waitMs !== undefined) wakeAfter(`service/${id}`, shortage.waitMs);
      });
    } finally {
      giving?.end();
    }
  };
  const giveBlocks = async (id: string, nowMs: number): Promise<void> => {
    let taken: ReturnType<typeof blocksFor>['taken'] = [];
    try {
      await store.update((tx) => {
        const node = tx.get('node', id);
        if (node === undefined) return;
        const found = blocksFor(tx, node, state.index, { nowMs, isShort: (network) => state.waiting.isShort(network) });
        taken = found.taken;
        if (!sameBlocks(node.AddressBlocks, found.blocks)) tx.put('node', { ...node, AddressBlocks: found.blocks });
      });
    } finally {
      for (const given of taken) state.index.withdraw(given);
    }
  };
  let understood = false;
  return startLoop<Key>(
    {
      name: 'allocator',
      dirtiedBy: (event, mark) => {
        understood = false;
        state.index.apply(event, clock.now());
        markDirty(event, store.view, state.waiting, mark);
        understood = true;
      },
      allKeys: () => {
        // At the start, and where an event was not understood; with many tasks it takes too long for every minute.
        if (!understood) state.index.rebuild(store.view, clock.now());
        understood = true;
        state.index.forget(clock.now());
        return allKeys(store.view);
      },
      pass: (keys, context) => {
        // What others need first; in a set order, as services compete.
        const sorted = [...keys].sort((a, b) => rankOf(a) - rankOf(b) || (a < b ? -1 : 1));
        return reconcileEach(new Set(sorted), context);
      },
    },
    { store, clock, logger },
  );
}

function sameBlocks(a: Readonly<Record<string, string[]>> = {}, b: Readonly<Record<string, string[]>>): boolean {
  const [first, second] = [a, b].map((blocks) => Object.entries(blocks).sort(([x], [y]) => (x < y ? -1 : 1)));
  return JSON.stringify(first) === JSON.stringify(second);
}
