import { CLUSTER_KEY, type ReadView, type Store } from '@swarmd/model';
import type { Logger } from 'pino';
import type { Duty } from './duties.js';

/** Who has not said what it can work on is of the first version, or not yet there. */
const FIRST_FORMAT = 1;

/** The form that the cluster's state is to have: the newest that every manager can work on, and never an older one. */
function dueStateFormat(view: ReadView): number {
  const formats = [...view.all('node')]
    .filter(({ Spec }) => Spec.Role === 'manager')
    .map(({ ManagerStatus }) => ManagerStatus?.StateFormat ?? FIRST_FORMAT);
  const common = formats.length === 0 ? FIRST_FORMAT : Math.min(...formats);
  return Math.max(view.get('cluster', CLUSTER_KEY)?.StateFormat ?? FIRST_FORMAT, common);
}

/** Raises the form of the cluster's state once all managers can work on it, while this one leads. */
export async function startStateFormat({ store, logger }: { store: Store; logger: Logger }): Promise<Duty> {
  let writing: Promise<void> | undefined;
  const raise = async (): Promise<void> => {
    if (isRaised(store.view)) return;
    const raised = await store.update((tx) => {
      const cluster = tx.get('cluster', CLUSTER_KEY);
      if (cluster === undefined || isRaised(tx)) return undefined;
      const StateFormat = dueStateFormat(tx);
      tx.put('cluster', { ...cluster, StateFormat });
      return StateFormat;
    });
    if (raised !== undefined)
      logger.info({ format: raised }, 'all managers can work on a newer form of the state: it is used from here on');
  };
  const check = (): void => {
    writing ??= raise()
      .catch((error: unknown) => logger.warn({ err: error }, 'the form of the state was not raised'))
      .finally(() => {
        writing = undefined;
      });
  };
  const unwatch = store.watch(({ events }) => {
    if (events.some(({ table }) => table === 'node')) check();
  });
  check();
  await writing;
  return {
    stop: async () => {
      unwatch();
      await writing;
    },
  };
}

function isRaised(view: ReadView): boolean {
  return dueStateFormat(view) === (view.get('cluster', CLUSTER_KEY)?.StateFormat ?? FIRST_FORMAT);
}
