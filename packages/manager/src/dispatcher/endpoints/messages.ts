import {
  type EndpointUpdate,
  MESSAGE_BYTES,
  NetworkEndpoint,
  NetworkService,
  NodeBlocks,
  RECEIVE_BYTES,
} from '@swarmd/wire';

/** What changed on a network, by ID (blocks by node ID); `undefined` is what is there no more. */
export interface EndpointDiff {
  endpoints: Map<string, NetworkEndpoint | undefined>;
  services: Map<string, NetworkService | undefined>;
  blocks: Map<string, NodeBlocks | undefined>;
}

/** Room for what a message carries besides its items. */
const ENVELOPE_BYTES = 128;

/** A difference of nothing. */
export function emptyDiff(): EndpointDiff {
  return { endpoints: new Map(), services: new Map(), blocks: new Map() };
}

/** How many things a difference says something of. */
export function sizeOf({ endpoints, services, blocks }: EndpointDiff): number {
  return endpoints.size + services.size + blocks.size;
}

/** Adds a later difference to an earlier one: of each thing the latest is kept. */
export function mergeInto(earlier: EndpointDiff, later: EndpointDiff): void {
  for (const [id, endpoint] of later.endpoints) earlier.endpoints.set(id, endpoint);
  for (const [id, service] of later.services) earlier.services.set(id, service);
  for (const [id, blocks] of later.blocks) earlier.blocks.set(id, blocks);
}

/**
 * The messages that carry a difference, at least one, each at most `maxBytes` unless a single item is larger; the last is
 * marked. Their `index` is for the session to fill in.
 */
export function endpointMessages(
  networkId: string,
  complete: boolean,
  diff: EndpointDiff,
  maxBytes = MESSAGE_BYTES,
): readonly EndpointUpdate[] {
  const parts = [emptyUpdate(networkId, complete)];
  let bytes = 0;
  const add = (size: number, put: (part: EndpointUpdate) => void): void => {
    // What no agent could receive would end every session; there is no such thing but by somebody's malice.
    if (size > RECEIVE_BYTES - ENVELOPE_BYTES) return;
    if (bytes > 0 && bytes + size > maxBytes - ENVELOPE_BYTES) {
      parts.push(emptyUpdate(networkId, complete));
      bytes = 0;
    }
    bytes += size;
    put(parts.at(-1)!);
  };
  for (const [id, endpoint] of diff.endpoints) {
    if (endpoint === undefined) add(textSize(id), ({ removedEndpoints }) => removedEndpoints.push(id));
    else add(itemSize(NetworkEndpoint.encode(endpoint)), ({ endpoints }) => endpoints.push(endpoint));
  }
  for (const [id, service] of diff.services) {
    if (service === undefined) add(textSize(id), ({ removedServices }) => removedServices.push(id));
    else add(itemSize(NetworkService.encode(service)), ({ services }) => services.push(service));
  }
  for (const [id, ranges] of diff.blocks) {
    if (ranges === undefined) add(textSize(id), ({ removedBlocks }) => removedBlocks.push(id));
    else add(itemSize(NodeBlocks.encode(ranges)), ({ blocks }) => blocks.push(ranges));
  }
  parts.at(-1)!.lastPart = true;
  return parts;
}

function emptyUpdate(networkId: string, complete: boolean): EndpointUpdate {
  return {
    ...{ networkId, complete, index: 0, lastPart: false, endpoints: [], removedEndpoints: [] },
    ...{ services: [], removedServices: [], blocks: [], removedBlocks: [] },
  };
}

/** The tag and length in front of each item take up to six bytes. */
function itemSize(encoded: { finish(): Uint8Array }): number {
  return encoded.finish().length + 6;
}

function textSize(id: string): number {
  return Buffer.byteLength(id) + 6;
}
