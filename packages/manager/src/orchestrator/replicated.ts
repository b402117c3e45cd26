import type { Task } from '@swarmd/model';
import { type Action, earlier, type Plan } from './actions.js';
import { groupSlots, type Observed, type Slot } from './observed.js';
import { isRunning, keepSlot, type SlotUpkeep } from './slot-upkeep.js';
import { planUpdate } from './updater.js';

/**
 * One pass over a replicated service: replaces what ended, moves a running update on, fills free slot numbers and
 * takes off what is too many. Pure: the same observation gives the same plan.
 */
export function reconcileReplicated(observed: Observed): Plan {
  const wanted = observed.service.Spec.Mode?.Replicated?.Replicas ?? 1;
  const slots = groupSlots(observed.tasks, (task) => task.Slot);
  const taken: { slot: Slot; upkeep: SlotUpkeep }[] = [];
  for (const slot of slots.values()) {
    const upkeep = keepSlot(slot, observed, { slot: slot.key as number, nodeId: '' });
    if (upkeep.taken) taken.push({ slot, upkeep });
  }
  const surplusCount = Math.max(0, taken.length - wanted);
  const surplus = new Set(
    surplusCount === 0
      ? []
      : pickSurplus(
          taken.map((entry) => entry.slot),
          surplusCount,
        ),
  );
  const actions: Action[] = [];
  let wakeAtMs: number | undefined;
  const kept: Slot[] = [];
  for (const { slot, upkeep } of taken) {
    if (surplus.has(slot)) continue;
    kept.push(slot);
    for (const action of upkeep.actions) actions.push(action);
    wakeAtMs = earlier(wakeAtMs, upkeep.wakeAtMs);
  }
  for (const slot of surplus) {
    for (const task of slot.tasks)
      actions.push({ kind: 'set-desired', taskId: task.ID, desired: 'remove', reason: 'scaled down' });
  }
  const busy = new Set(taken.filter(({ upkeep }) => upkeep.actions.length > 0).map(({ slot }) => slot));
  const update = planUpdate(kept, busy, observed, (slot) => ({ slot: slot.key as number, nodeId: '' }));
  for (const action of update.actions) actions.push(action);
  const numbers = freeNumbers(new Set(taken.map(({ slot }) => slot.key as number)), wanted - kept.length);
  for (const slot of numbers)
    actions.push({ kind: 'create-task', slot, nodeId: '', desired: 'running', reason: 'replica missing' });
  return { actions, wakeAtMs: earlier(wakeAtMs, update.wakeAtMs) };
}

/** The `count` smallest numbers from 1 on that are not taken. */
function freeNumbers(taken: ReadonlySet<number>, count: number): number[] {
  const free: number[] = [];
  for (let number = 1; free.length < count; number++) if (!taken.has(number)) free.push(number);
  return free;
}

/**
 * Which slots a scale-down takes: first those where nothing runs, then those on the nodes that hold the most replicas
 * of this service (counted anew after each), then the highest number (swarmkit slots sorted by node).
 */
function pickSurplus(slots: readonly Slot[], count: number): Slot[] {
  const byNode = new Map<string, Slot[]>();
  const idle: Slot[] = [];
  const number = (slot: Slot): number => slot.key as number;
  for (const slot of slots) {
    const running: Task | undefined = slot.live.find(isRunning);
    if (running === undefined) idle.push(slot);
    else byNode.set(running.NodeID, [...(byNode.get(running.NodeID) ?? []), slot]);
  }
  idle.sort((a, b) => number(b) - number(a));
  const picked = idle.slice(0, count);
  if (picked.length === count) return picked;
  // Rank of a slot on its node: the highest-numbered of k is the k-th to be spared, so the fullest nodes give first.
  const ranked: { slot: Slot; rank: number }[] = [];
  for (const onNode of byNode.values()) {
    onNode.sort((a, b) => number(a) - number(b));
    for (const [index, slot] of onNode.entries()) ranked.push({ slot, rank: index });
  }
  ranked.sort((a, b) => b.rank - a.rank || number(b.slot) - number(a.slot));
  return [...picked, ...ranked.slice(0, count - picked.length).map((entry) => entry.slot)];
}
