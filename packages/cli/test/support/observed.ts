import type { ApiService, ApiTask } from '../../src/client/api-types.js';
import { type ServiceProgress, serviceProgress } from '../../src/progress/service-progress.js';

const TIME = '2026-01-01T00:00:00.000000000Z';
/** Nodes that are up. */
export const NODES = new Set(['n1', 'n2']);

/** A service as the API shows it, of a mode. */
export function service(mode: ApiService['Spec']['Mode'], over: Partial<ApiService> = {}): ApiService {
  return {
    ID: 's',
    Version: { Index: 1 },
    CreatedAt: TIME,
    UpdatedAt: TIME,
    Spec: { Name: 'web', Mode: mode! },
    ...over,
  };
}

/** A task as the API shows it: wanted running, on node n1. */
export function task(
  slot: number,
  state: string,
  over: Partial<ApiTask> & { err?: string; node?: string } = {},
): ApiTask {
  const { err, node = 'n1', ...rest } = over;
  return {
    ID: `${slot}-${state}`,
    Version: { Index: 1 },
    CreatedAt: TIME,
    UpdatedAt: TIME,
    Spec: {},
    ServiceID: 's',
    Slot: slot,
    NodeID: node,
    DesiredState: 'running',
    Status: { Timestamp: TIME, State: state, ...(err === undefined ? {} : { Err: err }) },
    ...rest,
  };
}

/** A replicated service. */
export const replicas = (count: number): ApiService => service({ Replicated: { Replicas: count } });
/** The progress of a service with these tasks. */
export const at = (of: ApiService, ...tasks: ApiTask[]): ServiceProgress => serviceProgress(of, tasks, NODES, false);
