import { createEtcdClient, type EtcdClient } from '../client/etcd-client.js';
import type { EtcdTls } from '../process/key-directory.js';

/** Where an etcd member serves clients, and as whom to come. */
export interface EtcdEndpoint {
  /** `https://host:port`. */
  readonly clientEndpoint: string;
  readonly clientTls: EtcdTls;
}

/**
 * A client of the member at `target`, which is looked at anew at each call of `client`: a member's port and its
 * certificate can change, and then there is another client.
 */
export function clientOf(target: EtcdEndpoint): { client: () => EtcdClient; close: () => void } {
  let current: { client: EtcdClient; endpoint: string; tls: EtcdTls } | undefined;
  const close = (): void => {
    current?.client.close();
    current = undefined;
  };
  const client = (): EtcdClient => {
    const { clientEndpoint, clientTls: tls } = target;
    if (current?.endpoint === clientEndpoint && current.tls === tls) return current.client;
    close();
    const { caPem, certificatePem, keyPem } = tls;
    const endpoint = new URL(clientEndpoint).host;
    const made = createEtcdClient({ endpoint, tls: { ca: caPem, certificate: certificatePem, key: keyPem } });
    current = { client: made, endpoint: clientEndpoint, tls };
    return made;
  };
  return { client, close };
}
