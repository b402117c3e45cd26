import type { NewObject, Node, Service, ServiceSpec, SpecRecord, Task, WriteTx } from '@swarmd/model';
import { specKey } from '@swarmd/model';

/** A ready, active worker with 4 cores and 8 GiB; override what a test is about. */
export function buildNode(id: string, over: Partial<NewObject<Node>> = {}): NewObject<Node> {
  return {
    ID: id,
    Spec: { Role: 'worker', Availability: 'active', Labels: {} },
    Description: {
      Hostname: id,
      Platform: { Architecture: 'x86_64', OS: 'linux' },
      Resources: { NanoCPUs: 4e9, MemoryBytes: 8 * 2 ** 30 },
      Engine: { EngineVersion: '20.10.24', Labels: {}, Plugins: [] },
    },
    Status: { State: 'ready', Addr: '10.0.0.1' },
    ...over,
  };
}

/** A replicated service spec named `name`. */
export function buildServiceSpec(name: string, replicas: number, over: Partial<ServiceSpec> = {}): ServiceSpec {
  return {
    Name: name,
    Labels: {},
    TaskTemplate: { ContainerSpec: { Image: 'busybox' }, ForceUpdate: 0, Runtime: 'container' },
    Mode: { Replicated: { Replicas: replicas } },
    EndpointSpec: { Mode: 'vip' },
    ...over,
  };
}

/** Creates a service and the spec record that its tasks refer to, as control does. */
export function createService(tx: WriteTx, id: string, spec: ServiceSpec, over: Partial<Service> = {}): Service {
  const record: NewObject<SpecRecord> = { ID: specKey(id, tx.index), ServiceID: id, SpecVersion: tx.index, Spec: spec };
  tx.create('spec', record);
  return tx.create('service', { ID: id, Spec: spec, SpecVersion: tx.index, ...over });
}

/** A task of `service`; pending and wanted running unless overridden. */
export function buildTask(service: Service, id: string, over: Partial<NewObject<Task>> = {}): NewObject<Task> {
  return {
    ID: id,
    ServiceID: service.ID,
    ServiceName: service.Spec.Name ?? service.ID,
    SpecVersion: service.SpecVersion,
    Slot: 1,
    NodeID: '',
    DesiredState: 'running',
    Status: { Timestamp: '2026-01-01T00:00:00.000000000Z', State: 'pending', Message: '' },
    ...over,
  };
}
