import type { DoctorReport } from '@swarmd/model';
import { type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { createCluster } from './support/cluster.js';
import { type Firewall, firewalld, handWritten, rulesOfOthers, ufw, whyNoFirewalls } from './support/firewalls.js';
import { ask, createNodeService } from './support/network-services.js';
import { waitForExactly, waitForRunning } from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? whyNoFirewalls() ?? false;
t.setTimeout(600_000);

const shared = shareCluster(t, async () => {
  const made = await createCluster({ hosts: 2 });
  const one = made.hosts[0]!;
  await Promise.all(made.hosts.map((host) => importBusyboxImage(host, ['busybox:latest'])));
  await made.form();
  await made.docker(one, 'network', 'create', '-d', 'overlay', 'front');
  await createNodeService(made, one, 'web', ['--mode', 'global', '--network', 'front']);
  const there = ['--constraint', `node.hostname==${one.name}`, '--publish', '8081:8080'];
  await createNodeService(made, one, 'entry', [...there, '--network', 'front']);
  await Promise.all([waitForExactly(made.hosts, 'web', 2), waitForRunning(one, 'entry', 1)]);
  return made;
});

const firewalls: [Firewall, named: RegExp][] = [
  [handWritten(), /, and iptables-nft \(chain INPUT\) and iptables-legacy \(chain INPUT\) drop it there/],
  [ufw, /ufw drops it/],
  [firewalld, /firewalld \(zone public\)/],
];

for (const [firewall, named] of firewalls) {
  t.test(
    `firewalls › ${firewall.name} is named with the command that opens it, and not touched`,
    { skip },
    async (t) => {
      const cluster = await shared(t);
      const [one, two] = cluster.hosts as [Host, Host];
      const doctor = async (): Promise<DoctorReport['Findings']> => {
        const { stdout } = await cluster.trySwarmctl(one, 'doctor', '--repair', '--format', 'json');
        return (JSON.parse(stdout) as DoctorReport).Findings.filter(({ Level }) => Level !== 'note');
      };
      const told = (findings: DoctorReport['Findings']): string =>
        findings.map(({ Hostname, Code, What, Do }) => `${Hostname} ${Code}: ${What}: ${Do}`).join('\n');
      const published = ['curl', '-sf', '--max-time', '1', `http://${two.ip}:8081/`];
      const answers = async (): Promise<boolean> => (await cluster.lab.client(published)).code === 0;

      await waitFor('all is well', async () => (await doctor()).length === 0, {
        describe: async () => told(await doctor()),
      });
      await firewall.start(two);
      await waitForExactly(cluster.hosts, 'web', 2);
      await waitFor('ours are there', async () =>
        /swarmd-mesh/.test(await two.run('nft list chain ip filter DOCKER-USER')),
      );
      const theirs = (): Promise<string> => rulesOfOthers(two, firewall.tables);
      const rules = await theirs();
      const findings = await doctor();
      t.notOk(await answers(), 'the port is shut');
      const [finding] = findings.filter(({ Code }) => Code === 'vxlan');
      t.match(finding, { Hostname: two.name, Level: 'error', What: named });
      t.equal(findings.filter(({ Code }) => Code === 'firewall' || Code === 'vxlan').length, 1, 'told once');
      t.equal(await theirs(), rules, 'nothing of it was touched');

      const commands = findings.flatMap(commandsOf);
      for (const command of commands) await two.run(command);
      const left = await doctor();
      t.equal(told(left), '', commands.join('; '));
      t.ok(await answers(), 'a published port of another host');
      t.match(await ask(two, 'web', 'http://entry:8080/', 5), { answered: 5, failed: 0 }, 'a name and virtual IP');

      for (const command of commands.reverse()) await two.run(firewall.undo(command));
      // The engine has its bridges put into a zone anew some time after a reload.
      await waitFor('the rules are as they were', async () => (await theirs()) === rules, { describe: theirs });
      if (firewall !== firewalld) await firewall.stop(two);
    },
  );
}

t.test('firewalls › a clean-up removes what is ours, and nothing of theirs', { skip }, async (t) => {
  const { hosts, docker, swarmctl, trySwarmctl } = await shared(t);
  const [one, two] = hosts as [Host, Host];
  const ours = /rule\s+iptables-nft -A DOCKER-USER -i swarmd-mesh/;
  await waitFor('all of ours is there', async () => ours.test(await swarmctl(two, 'node', 'cleanup')));
  await two.run(
    'iptables-nft -I DOCKER-USER -s 203.0.113.0/24 -j DROP; iptables-legacy -A FORWARD -s 203.0.113.0/24 -j DROP',
  );
  await docker(one, 'service', 'rm', 'web', 'entry');
  await swarmctl(two, 'leave');
  await waitFor('no container is left', async () => (await two.run('docker ps -q')) === '');
  const rules = await rulesOfOthers(two);
  t.equal((await trySwarmctl(two, 'node', 'cleanup', '--yes')).code, 0);
  t.notMatch(await two.run('nft list ruleset; iptables-legacy -S'), /swarmd/);
  t.equal(await rulesOfOthers(two), rules);
  t.match(rules, /203\.0\.113\.0[\s\S]*chain filter_FORWARD_ZONES/);
});

/** What somebody is told to run on that host. */
function commandsOf({ What, Do }: DoctorReport['Findings'][number]): string[] {
  const [, command] = /^on that host: (.*)$/.exec(Do) ?? / run `(.*)`$/.exec(What) ?? [];
  return command === undefined ? [] : [command];
}
