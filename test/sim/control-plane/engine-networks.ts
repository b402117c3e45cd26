import { Readable } from 'node:stream';
import type { EngineClient } from '@swarmd/agent';
import { NETWORK_LABEL } from '@swarmd/agent';
import { SwarmdError } from '@swarmd/model';

/** A network as an engine has it. */
interface EngineNetwork {
  Id: string;
  Name: string;
  Driver: string;
  Labels: Record<string, string>;
}

/** What {@link EngineNetworks} need of the simulated engine. */
export interface EngineNetworksWorld {
  /** Every call takes its time, and hangs while the engine does. */
  take(): Promise<void>;
  /** Throws unless the driver can have the network. */
  driver(networkId: string): void;
  /** Whether containers that run are on the network with this name. */
  inUse(name: string): boolean;
}

/** The networks of a simulated engine: as much of its API as agents use. */
export class EngineNetworks {
  readonly #world: EngineNetworksWorld;
  readonly #networks = new Map<string, EngineNetwork>();
  #made = 0;

  constructor(world: EngineNetworksWorld) {
    this.#world = world;
  }

  /** IDs of the cluster's networks that the engine has. */
  get ids(): string[] {
    return [...this.#networks.values()].map(({ Labels }) => Labels[NETWORK_LABEL] ?? '');
  }

  /** The cluster's ID of the network with this name. */
  idOf(name: string): string | undefined {
    return [...this.#networks.values()].find(({ Name }) => Name === name)?.Labels[NETWORK_LABEL];
  }

  /** The engine's client as agents know it. */
  client(): EngineClient {
    const { take, driver, inUse } = this.#world;
    const docker = {
      listNetworks: async ({ filters }: { filters: { label?: string[]; name?: string[] } }) => {
        await take();
        return [...this.#networks.values()].filter(
          ({ Name, Labels }) =>
            (filters.name ?? []).every((name) => Name.includes(name)) &&
            (filters.label ?? []).every((label) => {
              const [key = '', value] = label.split('=');
              return key in Labels && (value === undefined || Labels[key] === value);
            }),
        );
      },
      createNetwork: async ({ Name, Driver, Labels }: Omit<EngineNetwork, 'Id'>) => {
        await take();
        driver(Labels[NETWORK_LABEL] ?? '');
        // As engines do when they are asked to check for duplicates.
        if (this.idOf(Name) !== undefined) {
          throw new SwarmdError('already-exists', `network with name ${Name} already exists`);
        }
        const Id = `e${++this.#made}`;
        this.#networks.set(Id, { Id, Name, Driver, Labels });
      },
      getNetwork: (id: string) => ({
        inspect: async () => {
          await take();
          return { ...this.#find(id), Containers: {} };
        },
        remove: async () => {
          await take();
          if (inUse(this.#find(id).Name)) throw new SwarmdError('permission-denied', 'it has active endpoints');
          this.#networks.delete(id);
        },
        disconnect: () => take(),
      }),
      getEvents: async () => new Readable({ read: () => {} }),
    };
    return { docker, apiVersion: '1.44', engineVersion: 'simulated' } as unknown as EngineClient;
  }

  #find(id: string): EngineNetwork {
    const network = this.#networks.get(id);
    if (network === undefined) throw new SwarmdError('not-found', 'no such network');
    return network;
  }
}
