import type { Network, NewObject } from '@swarmd/model';

/** Label that marks networks every node has by itself; lists leave them out, as Docker's do. */
export const PREDEFINED_LABEL = 'com.docker.swarm.predefined';

const PREDEFINED: Readonly<Record<string, NewObject<Network>>> = {
  host: build('predefinednetworkhost0000', 'host'),
  bridge: build('predefinednetworkbridge00', 'bridge'),
};

function build(id: string, name: string): NewObject<Network> {
  return { ID: id, Spec: { Name: name, Driver: name, Scope: 'swarm', Labels: { [PREDEFINED_LABEL]: 'true' } } };
}

/** The node-local network that services may name or refer to by ID: `host` or `bridge`. */
export function predefinedNetwork(ref: string): NewObject<Network> | undefined {
  return Object.values(PREDEFINED).find((network) => network.ID === ref || network.Spec.Name === ref);
}
