import {
  type ApiObject,
  isTerminal,
  type NetworkAttachment,
  type NetworkSpec,
  REJECTION,
  type ReadView,
  type SpecRecord,
  specKey,
  type Task,
  type TaskSpec,
} from '@swarmd/model';
import { ipamConfigOf, optionsOf } from './network-shapes.js';

/** Turns tasks into the API's JSON. Template parts are shared between tasks of one spec version. */
export type TaskShaper = (view: ReadView, task: Task) => ApiObject;

/** A {@link TaskShaper} that prepares each spec record once, however often it is asked. */
export function createTaskShaper(): TaskShaper {
  const prepared = new WeakMap<SpecRecord, TaskSpec>();
  const templateOf = (record: SpecRecord): TaskSpec => {
    const known = prepared.get(record);
    if (known !== undefined) return known;
    // Docker shows the runtime in a service's spec but not in its tasks'.
    const { Runtime: _, ...template } = record.Spec.TaskTemplate ?? {};
    prepared.set(record, template);
    return template;
  };
  return (view, task) => {
    const record = view.get('spec', specKey(task.ServiceID, task.SpecVersion));
    return taskToApi(view, task, record === undefined ? {} : templateOf(record));
  };
}

function taskToApi(view: ReadView, task: Task, spec: TaskSpec): ApiObject {
  const api: ApiObject = {
    ID: task.ID,
    Version: task.Version,
    CreatedAt: task.CreatedAt,
    UpdatedAt: task.UpdatedAt,
    Labels: {},
    Spec: spec,
    ServiceID: task.ServiceID,
  };
  if (task.Slot > 0) api['Slot'] = task.Slot;
  if (task.NodeID !== '') api['NodeID'] = task.NodeID;
  api['Status'] = statusToApi(task);
  api['DesiredState'] = task.DesiredState;
  if (task.NetworksAttachments?.length) {
    api['NetworksAttachments'] = task.NetworksAttachments.map((a) => attachmentToApi(view, a));
  }
  if (task.AssignedGenericResources?.length) api['GenericResources'] = task.AssignedGenericResources;
  if (task.JobIteration) api['JobIteration'] = task.JobIteration.Index === 0 ? {} : task.JobIteration;
  return api;
}

function statusToApi({ Status: status, RejectedAt }: Task): Record<string, unknown> {
  const api: Record<string, unknown> = {
    Timestamp: status.Timestamp,
    State: status.State,
    Message: status.Message,
  };
  // Why it leaves is told while it does.
  const err = status.Err || (RejectedAt !== undefined && !isTerminal(status.State) ? REJECTION.Err : '');
  if (err) api['Err'] = err;
  const container = status.ContainerStatus;
  if (container) {
    api['ContainerStatus'] = {
      ContainerID: container.ContainerID ?? '',
      PID: container.PID ?? 0,
      ExitCode: container.ExitCode ?? 0,
    };
  }
  api['PortStatus'] = status.PortStatus ?? {};
  return api;
}

function attachmentToApi(view: ReadView, attachment: NetworkAttachment): Record<string, unknown> {
  const network = view.get('network', attachment.Network.ID);
  if (network === undefined) return { ...attachment };
  const { ID, Version, CreatedAt, UpdatedAt, Spec } = network;
  return {
    ...attachment,
    Network: {
      ID,
      Version,
      CreatedAt,
      UpdatedAt,
      Spec: {
        Name: Spec.Name,
        Labels: Spec.Labels ?? {},
        DriverConfiguration: driverOf(Spec),
        ...(Spec.Attachable ? { Attachable: true } : {}),
        ...(Spec.Ingress ? { Ingress: true, IPAMOptions: { Driver: {} } } : {}),
        Scope: 'swarm',
      },
      DriverState: {
        Name: Spec.Driver ?? 'overlay',
        ...(network.Allocation === undefined ? {} : { Options: optionsOf(network) }),
        ...attachment.Network.DriverState,
      },
      ...(Spec.IPAM || network.Allocation
        ? { IPAMOptions: { Driver: { Name: Spec.IPAM?.Driver ?? 'default' }, Configs: ipamConfigOf(network) } }
        : {}),
    },
  };
}

function driverOf({ Driver, Options }: NetworkSpec): Record<string, unknown> {
  if (!Driver) return {};
  return Options && Object.keys(Options).length > 0 ? { Name: Driver, Options } : { Name: Driver };
}
