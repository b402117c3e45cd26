import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { runCommand } from '../../src/audit/command.js';
import { findLeftovers } from '../../src/audit/leftovers.js';
import { inOwnNamespace, noNamespaces, script } from './own-namespace.js';

function tests(): void {
  const root = mkdtempSync(join(tmpdir(), 'swarmd-left-'));
  const places = { runDir: join(root, 'run'), stateDir: join(root, 'net') };
  const found = async (): Promise<string[]> =>
    (await findLeftovers(runCommand, places)).map(({ kind, name }) => `${kind} ${name.replace(root, '')}`);
  t.teardown(() => rmSync(root, { recursive: true }));

  t.test('leftovers › a host without any has none', async (t) => {
    t.same(await found(), []);
    t.equal(await script('nft list tables; cat /proc/net/ip_tables_names 2>&- || true'), '', 'looking makes none');
  });

  t.test('leftovers › only what is ours is found, and all of it can be removed', async (t) => {
    mkdirSync(places.stateDir);
    writeFileSync(join(places.stateDir, 'net.log'), '');
    mkdirSync(join(places.runDir, 'netns'), { recursive: true });
    const namespace = join(places.runDir, 'netns', 'abcdef012345');
    writeFileSync(namespace, '');
    const theirs = 'swarmd-other';
    await script(`
      unshare --net=${namespace} true
      nsenter --net=${namespace} ip link add vx0 type vxlan id 1048576 dstport 4789
      ip link add swarmd-mesh type veth peer name ${theirs}
      ip link add vc0123456789ab type veth peer name vcother
      for table in 'inet swarmd' 'ip swarmd_mesh' 'inet swarmd_probe_00000a' 'inet swarmd_of_others'; do nft add table $table; done
      iptables-nft -N DOCKER-USER
      iptables-nft -A FORWARD -j DOCKER-USER
      iptables-nft -A DOCKER-USER -j RETURN
      iptables-nft -I DOCKER-USER -i swarmd-mesh -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
      ip6tables-legacy -N DOCKER-USER
      ip6tables-legacy -I DOCKER-USER -o swarmd-mesh -m conntrack --ctstate DNAT -j ACCEPT`);
    t.same((await found()).sort(), [
      'link swarmd-mesh',
      'link vc0123456789ab',
      `namespace ${namespace.replace(root, '')}`,
      'rule ip6tables-legacy -A DOCKER-USER -o swarmd-mesh -m conntrack --ctstate DNAT -j ACCEPT',
      'rule iptables-nft -A DOCKER-USER -i swarmd-mesh -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      'state /net',
      'table inet swarmd',
      'table inet swarmd_probe_00000a',
      'table ip swarmd_mesh',
    ]);
    for (const leftover of await findLeftovers(runCommand, places)) t.equal(await leftover.remove(), '', leftover.name);
    t.same(await found(), []);
    t.notOk(existsSync(namespace));
    t.match(await script('nft list tables'), /swarmd_of_others/);
    t.match(await script('iptables-nft -S DOCKER-USER'), /-A DOCKER-USER -j RETURN/);
  });

  t.test('leftovers › what cannot be removed says why', async (t) => {
    await script('ip link add swarmd-mesh type veth peer name swarmd-other');
    const [link] = await findLeftovers(runCommand, places);
    await script('ip link delete swarmd-mesh');
    t.match(await link!.remove(), /Cannot find device/);
  });
}

if (inOwnNamespace(import.meta.url)) {
  if (noNamespaces === false) tests();
  else t.pass('skipped', { skip: noNamespaces });
}
