import type { EndpointChange, NetworkEndpoint, NetworkService, NodeBlocks } from '@swarmd/model';
import type { RecordChange } from './record-log.js';
import { keyOf, type RecordKind } from './records.js';

/** Who is on a network, while it is put together. */
export interface MutableMembers {
  endpoints: Map<string, NetworkEndpoint>;
  services: Map<string, NetworkService>;
  blocks: Map<string, NodeBlocks>;
}

/** A copy to be changed, while others go on reading the original. */
export function copyOf(members: MutableMembers | undefined): MutableMembers {
  const { endpoints, services, blocks } = members ?? {};
  return { endpoints: new Map(endpoints), services: new Map(services), blocks: new Map(blocks) };
}

/** Changes `draft`; returns what is to be written of it. */
export function changeDraft(draft: MutableMembers, change: EndpointChange): RecordChange[] {
  const { networkId, complete, blocks = [], removedBlocks = [] } = change;
  const written = complete ? emptied(networkId, draft) : [];
  const remove = (kind: RecordKind, from: Map<string, unknown>, ids: readonly string[]): void => {
    for (const id of ids) if (from.delete(id)) written.push([keyOf(kind, networkId, id), undefined]);
  };
  const put = <T>(kind: RecordKind, to: Map<string, T>, id: string, value: T): void => {
    to.set(id, value);
    written.push([keyOf(kind, networkId, id), value]);
  };
  remove('endpoint', draft.endpoints, change.removedEndpoints);
  remove('service', draft.services, change.removedServices);
  remove('blocks', draft.blocks, removedBlocks);
  for (const endpoint of change.endpoints) put('endpoint', draft.endpoints, endpoint.id, endpoint);
  for (const service of change.services) put('service', draft.services, service.id, service);
  for (const entry of blocks) put('blocks', draft.blocks, entry.nodeId, entry);
  return written;
}

/** Removes all of `draft`; returns what is to be written for that. */
export function emptied(networkId: string, draft: MutableMembers): RecordChange[] {
  const written: RecordChange[] = [];
  const kinds = [
    ['endpoint', draft.endpoints],
    ['service', draft.services],
    ['blocks', draft.blocks],
  ] as const;
  for (const [kind, map] of kinds) {
    for (const id of map.keys()) written.push([keyOf(kind, networkId, id), undefined]);
    map.clear();
  }
  return written;
}
