import { statSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { type Clock, type NodeNetwork, type Random, SwarmdError } from '@swarmd/model';
import type { Logger } from 'pino';
import { createQueues } from '../control/coalesce.js';
import { createCommands, type KernelNamespaces } from '../kernel/index.js';
import { NAME_PORTS, type NameServer, type NameSource } from '../parts.js';
import { decide } from './decide.js';
import { createForwarder } from './forwarder.js';
import { type Handler, type Listener, serveTcp, serveUdp } from './listeners.js';
import { machineClock, machineRandom } from './machine.js';
import { createNameTables } from './name-table.js';
import { redirect } from './redirect.js';
import { hostServers } from './resolv-conf.js';
import { answersAt } from './self-check.js';

const DNS_PORT = 53;

/** What a {@link NameServer} is made of. */
export interface NameServerDeps {
  namespaces: KernelNamespaces;
  /** Members of a network must be another object after each change: their names are kept by it. */
  source: NameSource;
  logger: Logger;
  clock?: Clock;
  random?: Random;
  /** Path of the host's resolv.conf(5): servers for askers without their own. */
  resolvConf?: string;
}

interface Served {
  /** Which namespace the sockets are in: one made anew under the same path needs new ones. */
  namespace: string;
  listeners: Promise<Listener[]>;
}

/**
 * The DNS server of this node's networks. What it knows it answers at once; other names it asks outside, in the host's
 * namespace, for askers that may learn them. `serve` fails with `unavailable` when the address is not there or taken.
 */
export function createNameServer(deps: NameServerDeps): NameServer {
  const { namespaces, source, resolvConf = '/etc/resolv.conf' } = deps;
  const clock = deps.clock ?? machineClock();
  const random = deps.random ?? machineRandom();
  const logger = deps.logger.child({ part: 'dns' });
  const tables = createNameTables(source);
  const forwarder = createForwarder({ clock, random, logger, port: DNS_PORT, socket: namespaces.socket });
  const ofHost = hostServers(resolvConf);
  const commands = createCommands(namespaces);
  const served = new Map<string, Served>();
  const inTurn = createQueues();
  let closed = false;

  const handler = (networkId: string, via: 'udp' | 'tcp', redirected: boolean): Handler => {
    const asker: NameSource['asker'] = (id, address) => source.asker(id, address);
    return (packet, address, reply) => {
      const origin = { networkId, address, via, redirected };
      const decision = decide(packet, origin, { asker, tables, random, ofHost });
      if (decision.kind !== 'forward') {
        reply(decision.kind === 'answer' ? decision.packet : undefined);
        return;
      }
      const { query, servers, otherwise } = decision;
      forwarder.ask(networkId, query, servers, (answer) => reply(answer ?? otherwise));
    };
  };
  const open = async (network: NodeNetwork): Promise<Listener[]> => {
    const path = namespaces.pathOf(network.id);
    const opened: Listener[] = [];
    try {
      for (const { gateway } of network.subnets) {
        for (const port of isIPv4(gateway) ? Object.values(NAME_PORTS) : [NAME_PORTS.own]) {
          const redirected = port === NAME_PORTS.redirected;
          const udp = namespaces.listen(path, 'udp', gateway, port);
          opened.push(await serveUdp(udp, gateway, handler(network.id, 'udp', redirected), logger));
          const tcp = namespaces.listen(path, 'tcp', gateway, port);
          opened.push(await serveTcp(tcp, handler(network.id, 'tcp', redirected), clock, logger));
        }
      }
      return opened;
    } catch (cause) {
      await Promise.all(opened.map((listener) => listener.close()));
      const message = `network ${network.name}: DNS cannot be answered: ${cause instanceof Error ? cause.message : cause}`;
      throw new SwarmdError('unavailable', message, { cause });
    }
  };
  const stopNow = async (networkId: string): Promise<void> => {
    const old = served.get(networkId);
    served.delete(networkId);
    forwarder.stop(networkId);
    const listeners = await old?.listeners.catch(() => []);
    await Promise.all(listeners?.map((listener) => listener.close()) ?? []);
  };

  const serveNow = async (network: NodeNetwork): Promise<void> => {
    if (closed) throw new SwarmdError('failed-precondition', 'the name server is closed');
    const namespace = identify(namespaces.pathOf(network.id));
    if (served.has(network.id) && served.get(network.id)?.namespace !== namespace) await stopNow(network.id);
    let now = served.get(network.id);
    if (now === undefined) {
      now = { namespace, listeners: open(network) };
      served.set(network.id, now);
    }
    try {
      await now.listeners;
    } catch (error) {
      if (served.get(network.id) === now) served.delete(network.id);
      throw error;
    }
  };

  const stop = (networkId: string): Promise<void> => inTurn(networkId, () => stopNow(networkId));

  return {
    serve: (network) => inTurn(network.id, () => serveNow(network)),
    audit: async (network, repair) => {
      const path = namespaces.pathOf(network.id);
      const asked = network.subnets.map(async ({ gateway }) => ({
        gateway,
        answers: await answersAt({ socket: namespaces.socket, clock }, path, gateway),
      }));
      const silent = (await Promise.all(asked)).filter(({ answers }) => !answers);
      // Meanwhile it may have been taken off this node.
      const again = async (): Promise<void> => {
        if (!served.has(network.id)) return;
        await stopNow(network.id);
        await serveNow(network);
      };
      if (silent.length > 0 && repair) await inTurn(network.id, again);
      return silent.map(({ gateway }) => `nobody answers questions for names at ${gateway}`);
    },
    redirect: (sandbox, by) => redirect({ namespaces, commands }, sandbox, by),
    stop,
    close: async () => {
      closed = true;
      await Promise.all([...served.keys()].map(stop));
    },
  };
}

function identify(path: string): string {
  try {
    const { dev, ino } = statSync(path);
    return `${dev} ${ino}`;
  } catch (cause) {
    throw new SwarmdError('unavailable', `the network's namespace ${path} is not there`, { cause });
  }
}
