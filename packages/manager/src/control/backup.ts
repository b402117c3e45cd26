import { BACKUP_TABLES, type Snapshot, writeBackup } from '@swarmd/backup';
import { CLUSTER_KEY, type Control, type Store, SwarmdError } from '@swarmd/model';
import type { ControlDependencies } from './dependencies.js';

/** Backups of the whole cluster. */
export function backupControl({ store, clock, swarmdVersion }: ControlDependencies): Pick<Control, 'createBackup'> {
  return {
    createBackup: (secret) =>
      writeBackup({
        secret,
        snapshot: () => takeSnapshot(store),
        nowMs: clock.now(),
        swarmdVersion: swarmdVersion ?? 'unknown',
      }),
  };
}

/** References to all objects, taken in one turn, in which a store shows one state. */
function takeSnapshot(store: Store): Snapshot {
  const cluster = store.view.get('cluster', CLUSTER_KEY);
  if (cluster === undefined) throw new SwarmdError('unavailable', 'this manager has no cluster yet');
  return {
    clusterId: cluster.ClusterID,
    index: store.index,
    tables: BACKUP_TABLES.map((table) => ({ table, objects: [...store.view.all(table)] })),
  };
}
