import type { PortConfig, PublishedService } from '@swarmd/model';
import type { EndpointUpdate } from '@swarmd/wire';

/** What services publish on every node, as the updates of their networks tell it: by network. */
export class PublishedPorts {
  readonly #networks = new Map<string, Map<string, PortConfig[]>>();

  /** Networks of which an update has come in part: those are not complete yet. */
  readonly #partly = new Set<string>();

  /** A session begins: what has come in part is worth nothing. */
  restart(): void {
    for (const networkId of this.#partly) this.#networks.delete(networkId);
    this.#partly.clear();
  }

  /** Takes an update, or a part of one; `true` when it may have changed what is published. */
  take(update: EndpointUpdate): boolean {
    const { networkId, services, removedServices, lastPart } = update;
    // Every part of a complete update says that it is complete.
    const complete = update.complete && !this.#partly.has(networkId);
    if (lastPart) this.#partly.delete(networkId);
    else this.#partly.add(networkId);
    const known = this.#networks.get(networkId);
    // Differences count from a complete set.
    if (!complete && known === undefined) return false;
    const ports = complete || known === undefined ? new Map<string, PortConfig[]>() : known;
    this.#networks.set(networkId, ports);
    for (const service of services) {
      if (service.ports.length > 0) ports.set(service.id, parsePorts(service.ports));
      else ports.delete(service.id);
    }
    for (const id of removedServices) ports.delete(id);
    return update.complete || services.length > 0 || removedServices.length > 0;
  }

  forget(networkId: string): void {
    this.#networks.delete(networkId);
  }

  /** The services that publish anything by a network; `undefined` before its first complete set. */
  services(networkId: string): PublishedService[] | undefined {
    const ports = this.#partly.has(networkId) ? undefined : this.#networks.get(networkId);
    return ports && [...ports].map(([serviceId, published]) => ({ serviceId, ports: published }));
  }
}

function parsePorts(json: Uint8Array): PortConfig[] {
  return JSON.parse(Buffer.from(json).toString('utf8')) as PortConfig[];
}
