import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeNetwork } from '@swarmd/model';
import { type ManualClock, manualClock, seededRandom } from '@swarmd/testkit';
import pino from 'pino';
import { createNameServer } from '../../src/dns/index.js';
import type { NameServer } from '../../src/parts.js';
import { endpoint, type Known, know, members, network, nothingKnown, service, sourceOf } from './names.js';
import { type TestNamespaces, testNamespaces } from './netns.js';

/** Networks in real namespaces with a name server; each has a service `web` and containers at `.2` and `.3`. */
export interface DnsLab {
  known: Known;
  networks: NodeNetwork[];
  namespaces: TestNamespaces;
  server: NameServer;
  /** Stands still unless told: no test waits for a timeout. */
  clock: ManualClock;
  /** Replaces the host's name servers. */
  useServers(...servers: string[]): void;
  pathOf(at: number): string;
  close(): Promise<void>;
}

/** `count` networks `net1`, `net2`, …; `.2` may ask outside, `.3` may not. Nothing is served yet. */
export function dnsLab(count: number): DnsLab {
  const folder = mkdtempSync(join(tmpdir(), 'swarmd-dns-'));
  const resolvConf = join(folder, 'resolv.conf');
  const known = nothingKnown();
  const networks: NodeNetwork[] = [];
  const addresses = new Map<string, string[]>();
  for (let octet = 1; octet <= count; octet++) {
    const id = `dnslab${octet}`;
    const made = network(`net${octet}`, octet, { id });
    networks.push(made);
    const own = [1, 2, 3, 4].flatMap((host) => [`10.${octet}.0.${host}/24`, `fd00:${octet}::${host}/64`]);
    addresses.set(id, own);
    const big = Array.from({ length: 100 }, (_, at) =>
      endpoint(`big.${at}`, `10.${octet}.1.${at}`, { serviceId: 's-big' }),
    );
    const web = service('web', { virtualIps: [`10.${octet}.0.100`, `fd00:${octet}::100`] });
    know(known, made, members([web, service(`only${octet}`), service('big')], big));
    for (const address of [`10.${octet}.0.2`, `fd00:${octet}::2`]) {
      known.askers.set(`${id} ${address}`, { networkIds: [id], dns: [], outside: true });
    }
    known.askers.set(`${id} 10.${octet}.0.3`, { networkIds: [id], dns: [], outside: false });
  }
  const namespaces = testNamespaces(addresses);
  const clock = manualClock();
  const server = createNameServer({
    namespaces,
    source: sourceOf(known),
    logger: pino({ level: 'silent' }),
    clock,
    random: seededRandom(1),
    resolvConf,
  });
  return {
    known,
    networks,
    namespaces,
    server,
    clock,
    useServers: (...servers) => {
      writeFileSync(resolvConf, servers.map((each) => `nameserver ${each}\n`).join(''));
    },
    pathOf: (at) => namespaces.pathOf(networks[at]!.id),
    close: async () => {
      await server.close();
      namespaces.removeAll();
      rmSync(folder, { recursive: true });
    },
  };
}
