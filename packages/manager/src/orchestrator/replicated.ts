import type { Task } from '@swarmd/model';
import { type Action, earlier, type Plan } from './actions.js';
import { groupSlots, type Observed, type Slot } from './observed.js';
import { holdsItsNode } from './restart.js';
import { isRunning, keepSlot, type SlotUpkeep } from './slot-upkeep.js';
import { planUpdate } from './updater.js';

interface Kept {
  slot: Slot;
  upkeep: SlotUpkeep;
}

/**
 * One pass over a replicated service: replaces what ended, moves a running update on, fills free slot numbers and
 * takes off what is too many. Pure: the same observation gives the same plan.
 */
export function reconcileReplicated(observed: Observed): Plan {
  const wanted = observed.service.Spec.Mode?.Replicated?.Replicas ?? 1;
  const slots = groupSlots(observed.tasks, (task) => task.Slot);
  const taken: Kept[] = [];
  const free: Kept[] = [];
  for (const slot of slots.values()) {
    const upkeep = keepSlot(slot, observed, { slot: slot.key as number, nodeId: '' });
    (upkeep.taken ? taken : free).push({ slot, upkeep });
  }
  const surplus = new Set(
    taken.length <= wanted
      ? []
      : pickSurplus(
          taken.map((entry) => entry.slot),
          taken.length - wanted,
        ),
  );
  const kept = taken.filter(({ slot }) => !surplus.has(slot));
  const busy = new Set(kept.filter(({ upkeep }) => upkeep.actions.length > 0).map(({ slot }) => slot));
  const update = planUpdate(
    kept.map(({ slot }) => slot),
    busy,
    observed,
    (slot) => ({ slot: slot.key as number, nodeId: '' }),
  );
  // First: what else is created in this pass follows the spec that a rollback brings back.
  const { actions } = update;
  let { wakeAtMs } = update;
  for (const { upkeep } of kept) {
    for (const action of upkeep.actions) actions.push(action);
    wakeAtMs = earlier(wakeAtMs, upkeep.wakeAtMs);
  }
  for (const slot of surplus) dismiss(slot, 'scaled down', actions);
  fill(free, new Set(taken.map(({ slot }) => slot.key as number)), wanted - kept.length, observed, actions);
  return { actions, wakeAtMs };
}

/** Takes `count` free slot numbers; what is left of slots that are not used goes. */
function fill(
  free: readonly Kept[],
  taken: ReadonlySet<number>,
  count: number,
  observed: Observed,
  actions: Action[],
): void {
  const numbers = freeNumbers(taken, count);
  const waiting = new Set<number>();
  if (free.length > 0) {
    const used = new Set(numbers);
    for (const { slot, upkeep } of free) {
      if (!used.has(slot.key as number)) dismiss(slot, 'its slot is not used any more', actions);
      else for (const action of upkeep.actions) actions.push(action);
      if (slot.tasks.some((task) => holdsItsNode(task, observed))) waiting.add(slot.key as number);
    }
  }
  for (const slot of numbers) {
    const desired = waiting.has(slot) ? 'ready' : 'running';
    actions.push({ kind: 'create-task', slot, nodeId: '', desired, reason: 'replica missing' });
  }
}

function dismiss(slot: Slot, reason: string, actions: Action[]): void {
  for (const task of slot.tasks) actions.push({ kind: 'set-desired', taskId: task.ID, desired: 'remove', reason });
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
export function pickSurplus(slots: readonly Slot[], count: number): Slot[] {
  const byNode = new Map<string, Slot[]>();
  const idle: Slot[] = [];
  const number = (slot: Slot): number => slot.key as number;
  for (const slot of slots) {
    const running: Task | undefined = slot.live.find(isRunning);
    if (running === undefined) idle.push(slot);
    else {
      const onNode = byNode.get(running.NodeID);
      if (onNode === undefined) byNode.set(running.NodeID, [slot]);
      else onNode.push(slot);
    }
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
