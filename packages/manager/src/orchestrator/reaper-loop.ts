import {
  CLUSTER_KEY,
  type Clock,
  isTerminal,
  type ReadView,
  type Store,
  type StoreEvent,
  type WriteTx,
} from '@swarmd/model';
import type { Logger } from 'pino';
import { eachKey } from '../loop/each-key.js';
import { type Loop, startLoop } from '../loop/loop.js';
import { historyLimit, reapableTasks } from './reaper.js';

/** What the reaper needs. */
export interface ReaperDependencies {
  store: Store;
  clock: Clock;
  logger: Logger;
}

/** Deletes what nobody needs any more: ended tasks beyond the history, specs without tasks, deleted services. */
export function startReaper({ store, clock, logger }: ReaperDependencies): Loop {
  const log = logger.child({ component: 'reaper' });
  return startLoop<string>(
    {
      name: 'reaper',
      dirtiedBy: (event, mark) => markServices(event, store.view, mark),
      allKeys: () => {
        const ids = new Set<string>();
        for (const service of store.view.all('service')) ids.add(service.ID);
        for (const task of store.view.all('task')) ids.add(task.ServiceID);
        return ids;
      },
      pass: eachKey(async (serviceId) => {
        const reaped = await store.update((tx) => reapService(tx, serviceId));
        if (reaped > 0) log.info({ serviceId, tasks: reaped }, 'tasks reaped');
      }),
    },
    { store, clock, logger },
  );
}

function reapService(tx: WriteTx, serviceId: string): number {
  const service = tx.get('service', serviceId);
  const tasks = [...tx.find('task', 'service', serviceId)];
  const reapable = new Set(reapableTasks(tasks, service, historyLimit(tx.get('cluster', CLUSTER_KEY))));
  const needed = new Set<number>();
  for (const task of tasks) {
    if (reapable.has(task)) tx.delete('task', task.ID);
    else needed.add(task.SpecVersion);
  }
  if (service?.PendingDelete && needed.size === 0) tx.delete('service', serviceId);
  else if (service !== undefined) {
    needed.add(service.SpecVersion);
    if (service.PreviousSpecVersion !== undefined) needed.add(service.PreviousSpecVersion);
  }
  for (const record of [...tx.find('spec', 'service', serviceId)]) {
    if (!needed.has(record.SpecVersion)) tx.delete('spec', record.ID);
  }
  return reapable.size;
}

/** Beginnings and ends of tasks and changes of services give the reaper something to do; what comes between does not. */
function markServices(event: StoreEvent, view: ReadView, mark: (serviceId: string) => void): void {
  if (event.table === 'service') mark(event.object.ID);
  if (event.table === 'cluster' && historyLimit(event.object) !== historyLimit(event.previous))
    for (const service of view.all('service')) mark(service.ID);
  if (event.table !== 'task') return;
  const ended = isTerminal(event.object.Status.State) && event.previous?.Status.State !== event.object.Status.State;
  const dismissed = event.object.DesiredState !== event.previous?.DesiredState;
  if (event.kind !== 'update' || ended || dismissed) mark(event.object.ServiceID);
}
