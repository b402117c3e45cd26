import { compareStates, idFromBytes, type Random, type Service, specKey, type WriteTx } from '@swarmd/model';
import type { Action, CreateTask } from './actions.js';

/** What applying actions may report, one line each. */
export type ActionLog = (action: Action, taskId: string | undefined) => void;

/** Carries out one service's plan in the transaction in which it was decided, so that nothing can have changed since. */
export function applyActions(
  tx: WriteTx,
  service: Service,
  actions: readonly Action[],
  random: Random,
  log: ActionLog,
): void {
  let current = service;
  for (const action of actions) {
    switch (action.kind) {
      case 'create-task':
        log(action, createTask(tx, current, action, random));
        break;
      case 'set-desired': {
        const task = tx.get('task', action.taskId);
        if (task === undefined || compareStates(task.DesiredState, action.desired) >= 0) break;
        tx.put('task', { ...task, DesiredState: action.desired });
        log(action, action.taskId);
        break;
      }
      case 'set-update': {
        const { UpdateStatus: _status, UpdateProgress: _progress, ...rest } = current;
        current = tx.put('service', {
          ...rest,
          ...(action.status === undefined ? {} : { UpdateStatus: action.status }),
          ...(action.progress === undefined ? {} : { UpdateProgress: action.progress }),
        });
        log(action, undefined);
        break;
      }
      case 'roll-back':
        current = rollBack(tx, current, action.status);
        log(action, undefined);
        break;
    }
  }
}

/**
 * A task of the service's current spec. Tasks of nodes (global services) carry their node from the start; the
 * allocator takes every new task on from here.
 */
function createTask(tx: WriteTx, service: Service, action: CreateTask, random: Random): string {
  const id = idFromBytes(random.bytes(17));
  tx.create('task', {
    ID: id,
    ServiceID: service.ID,
    ServiceName: service.Spec.Name ?? service.ID,
    SpecVersion: service.SpecVersion,
    Slot: action.slot,
    NodeID: action.nodeId,
    DesiredState: action.desired,
    ...(action.startAfter === undefined ? {} : { StartAfter: action.startAfter }),
    ...(action.jobIteration === undefined ? {} : { JobIteration: { Index: action.jobIteration } }),
    ...(service.Spec.Labels ? { Labels: service.Spec.Labels } : {}),
    Status: { Timestamp: tx.now, State: 'new', Message: 'created' },
  });
  return id;
}

/** The previous spec becomes the current one again and nothing is left to roll back to (swarmkit `rollbackUpdate`). */
function rollBack(tx: WriteTx, service: Service, status: NonNullable<Service['UpdateStatus']>): Service {
  const { PreviousSpec, PreviousSpecVersion, PreviousRegistryAuth, UpdateProgress: _, ...rest } = service;
  if (PreviousSpec === undefined || PreviousSpecVersion === undefined) return service;
  const { RegistryAuth: _auth, ...bare } = rest;
  if (tx.get('spec', specKey(service.ID, PreviousSpecVersion)) === undefined) {
    tx.create('spec', {
      ID: specKey(service.ID, PreviousSpecVersion),
      ServiceID: service.ID,
      SpecVersion: PreviousSpecVersion,
      Spec: PreviousSpec,
      ...(PreviousRegistryAuth === undefined ? {} : { RegistryAuth: PreviousRegistryAuth }),
    });
  }
  return tx.put('service', {
    ...bare,
    Spec: PreviousSpec,
    SpecVersion: PreviousSpecVersion,
    ...(PreviousRegistryAuth === undefined ? {} : { RegistryAuth: PreviousRegistryAuth }),
    UpdateStatus: status,
  });
}
