import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '@swarmd/testkit';
import { waitFor } from './wait.js';

/** Software that rules a host's firewall, as a test switches it on and off. */
export interface Firewall {
  name: string;
  /** Tables of nft that are its own; where it shares them with the engine, all. */
  tables: RegExp;
  /** Comes up as its maker ships it: nothing comes in, and nothing goes through, that is not allowed. */
  start(host: Host): Promise<void>;
  stop(host: Host): Promise<void>;
  /** Takes back what `command`, that somebody was told to run, has allowed. */
  undo(command: string): string;
}

/** Why firewalld and ufw cannot be tried here, as a sentence; null when they can. */
export function whyNoFirewalls(): string | null {
  const missing = ['firewalld', 'ufw', 'iptables-legacy', 'dbus-daemon'].filter(
    (program) => !['/usr/sbin', '/usr/bin'].some((folder) => existsSync(join(folder, program))),
  );
  return missing.length > 0 ? `firewalls need ${missing.join(', ')}: run deploy/install-deps.sh test` : null;
}

const busSocket = '/run/dbus/system_bus_socket';
const busConfig = `<busconfig>
  <type>system</type>
  <listen>unix:path=${busSocket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
  </policy>
</busconfig>`;

/** Gives a host a system bus of its own, by which firewalld is spoken to. */
async function startBus(host: Host): Promise<void> {
  await host.run('mkdir -p /run/dbus; cat >/run/bus.conf', { input: busConfig });
  host.spawn(['dbus-daemon', '--config-file=/run/bus.conf', '--nofork', '--nopidfile'], { stdio: 'ignore' });
  await waitFor(
    `the bus of ${host.name} is there`,
    async () => (await host.exec(['test', '-S', busSocket])).code === 0,
  );
}

/** Rules as many write them by hand, in both of the kernel's tables of them: packets have to pass each. */
export function handWritten(): Firewall {
  const rules = ['INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT', 'INPUT -i lo -j ACCEPT'];
  const each = (option: '-A' | '-D', policy: string): string =>
    ['iptables-nft', 'iptables-legacy']
      .flatMap((iptables) => [
        ...rules.map((rule) => `${iptables} ${option} ${rule}`),
        ...['INPUT', 'FORWARD'].map((chain) => `${iptables} -P ${chain} ${policy}`),
      ])
      .join(' && ');
  return {
    name: 'iptables, both of them,',
    tables: /./,
    start: async (host) => void (await host.run(each('-A', 'DROP'))),
    stop: async (host) => void (await host.run(each('-D', 'ACCEPT'))),
    undo: (command) => command.replaceAll(' -I ', ' -D '),
  };
}

/** Debian's ufw, with its files copied into the host. */
export const ufw: Firewall = {
  name: 'ufw',
  tables: /./,
  async start(host) {
    await host.run(`mkdir /run/ufw && cp -a /etc/ufw /run/ufw/etc && cp /etc/default/ufw /run/ufw/default
      mount --bind /run/ufw/etc /etc/ufw && mount --bind /run/ufw/default /etc/default/ufw`);
    // Its files have their last form once there is a rule of one's own.
    await host.run('ufw allow 22/tcp && ufw --force enable');
  },
  stop: async (host) => void (await host.run('ufw disable')),
  undo: (command) => command.replaceAll('ufw allow', 'ufw delete allow'),
};

/** Debian's firewalld, with its files copied into the host; the engine starts after it, as at boot. */
export const firewalld: Firewall = {
  name: 'firewalld',
  // Told something, it has the engine make its rules anew, which are not all the same then.
  tables: /^table inet firewalld /,
  async start(host) {
    await startBus(host);
    await host.run('cp -a /etc/firewalld /run/firewalld-etc && mount --bind /run/firewalld-etc /etc/firewalld');
    host.spawn(['firewalld', '--nofork', '--nopid', '--log-target=console'], { stdio: 'ignore' });
    await waitFor('firewalld runs', async () => (await host.exec(['firewall-cmd', '--state'])).code === 0);
    // It has flushed the rules of the one that ran.
    await host.restartEngine();
  },
  stop: async (host) => void (await host.run('pkill -x firewalld; while pgrep -x firewalld; do sleep 0.1; done')),
  undo: (command) => command.replaceAll('--add-', '--remove-'),
};

/** All rules on a host that are not swarmd's, sorted and without what they have counted. */
export async function rulesOfOthers(host: Host, among = /./): Promise<string> {
  const listing = await host.run(['nft', '-s', 'list', 'ruleset']);
  const tables = listing.match(/^table [\s\S]*?^\}$/gm) ?? [];
  const others = tables
    .filter((table) => among.test(table) && !/^table \S+ swarmd(_mesh|_probe_\w+)? /.test(table))
    .join('\n');
  const legacy = await host.run('grep -q filter /proc/net/ip_tables_names && iptables-legacy -S || true');
  const lines = `${others}\n${legacy}`.split('\n').filter((line) => !line.includes('swarmd-mesh'));
  return lines.sort().join('\n');
}
