import type { EndpointChange, NetworkEndpoint, NetworkService } from '@swarmd/model';
import type { RecordChange } from './record-log.js';
import { keyOf } from './records.js';

/** Who is on a network, while it is put together. */
export interface MutableMembers {
  endpoints: Map<string, NetworkEndpoint>;
  services: Map<string, NetworkService>;
}

/** A copy to be changed, while others go on reading the original. */
export function copyOf(members: MutableMembers | undefined): MutableMembers {
  return { endpoints: new Map(members?.endpoints), services: new Map(members?.services) };
}

/** Changes `draft`; returns what is to be written of it. */
export function changeDraft(draft: MutableMembers, change: EndpointChange): RecordChange[] {
  const { networkId, complete, endpoints, removedEndpoints, services, removedServices } = change;
  const written = complete ? emptied(networkId, draft) : [];
  for (const id of removedEndpoints) {
    if (draft.endpoints.delete(id)) written.push([keyOf('endpoint', networkId, id), undefined]);
  }
  for (const id of removedServices) {
    if (draft.services.delete(id)) written.push([keyOf('service', networkId, id), undefined]);
  }
  for (const endpoint of endpoints) {
    draft.endpoints.set(endpoint.id, endpoint);
    written.push([keyOf('endpoint', networkId, endpoint.id), endpoint]);
  }
  for (const service of services) {
    draft.services.set(service.id, service);
    written.push([keyOf('service', networkId, service.id), service]);
  }
  return written;
}

/** Removes all of `draft`; returns what is to be written for that. */
export function emptied(networkId: string, draft: MutableMembers): RecordChange[] {
  const written: RecordChange[] = [
    ...[...draft.endpoints.keys()].map((id): RecordChange => [keyOf('endpoint', networkId, id), undefined]),
    ...[...draft.services.keys()].map((id): RecordChange => [keyOf('service', networkId, id), undefined]),
  ];
  draft.endpoints.clear();
  draft.services.clear();
  return written;
}
