import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { HOST_LINK } from '../src/mesh/node-rules.js';
import { ingress, type MeshHost, makeMeshBed, membersOf, publishing, taskOf, unfit } from './mesh-bed.js';

t.test('mesh behind a firewall', { skip: unfit }, async (t) => {
  const bed = await makeMeshBed(2);
  t.teardown(() => bed.remove());
  const [h1, h2] = bed.hosts as [MeshHost, MeshHost];
  const far = await bed.container(h2, '10.0.0.7', 'far');
  const members = membersOf(taskOf(far, 'web'));
  const web = publishing('web', [8080, 80]);
  const answer = 'far 192.0.2.100';
  const sh = (script: string) => bed.commands.run(h1.path, ['sh', '-c', script]);
  await bed.tell(members, [web]);

  for (const iptables of ['iptables-legacy', 'iptables-nft']) {
    t.test(`${iptables}: rules in DOCKER-USER let it through, and go with a reset`, async (t) => {
      await sh(`${iptables} -P FORWARD DROP; ${iptables} -N DOCKER-USER; ${iptables} -A FORWARD -j DOCKER-USER`);
      await h1.mesh.check();
      t.equal(await bed.ask(bed.client, h1.addr, 8080), answer);
      await h1.mesh.check();
      const rules = await sh(`${iptables} -S DOCKER-USER`);
      t.equal(rules.split('\n').filter((line) => line.includes(HOST_LINK)).length, 2, 'once');
      t.same(h1.mesh.problems(), []);
      await h1.mesh.reset();
      t.notMatch(await sh(`${iptables} -S`), HOST_LINK);
      await h1.mesh.apply(ingress, members, [web]);
      await sh(`${iptables} -P FORWARD ACCEPT; ${iptables} -F; ${iptables} -X`);
    });

    t.test(`${iptables}: without that chain the command that is shown lets it through`, async (t) => {
      await sh(`${iptables} -P FORWARD DROP`);
      await h1.mesh.check();
      await repair(t);
      await sh(`${iptables} -P FORWARD ACCEPT; ${iptables} -F`);
    });
  }

  t.test('a chain of nft that drops: the command that is shown lets it through', async (t) => {
    await sh(
      "nft 'add table inet strict; add chain inet strict forwarded { type filter hook forward priority 0; policy drop; }'",
    );
    await h1.mesh.check();
    await repair(t);
    await sh('nft delete table inet strict');
  });

  const noUfw = existsSync('/usr/sbin/ufw') ? false : 'needs ufw: run deploy/install-deps.sh test';
  t.test('ufw, where no engine has rules: the command that is shown lets it through', { skip: noUfw }, async (t) => {
    const own = mkdtempSync(join(tmpdir(), 'swarmd-ufw-'));
    t.teardown(() => rmSync(own, { recursive: true }));
    await sh(`cp -a /etc/ufw ${own}/etc; cp /etc/default/ufw ${own}/default`);
    const mounts = `mount --bind ${own}/etc /etc/ufw; mount --bind ${own}/default /etc/default/ufw`;
    const ufw = (script: string) => sh(`exec unshare --mount sh -ec '${mounts}; ${script}'`);
    // Bare tables, as after a boot.
    await sh('nft delete table ip filter; iptables-legacy -F; iptables-legacy -X');
    await ufw('ufw allow 4789/udp; ufw --force enable');
    await h1.mesh.check();
    t.match(h1.mesh.problems(), [/ufw drops .*: run `ufw route allow out on swarmd-mesh`$/]);
    await repair(t, ufw);
    await ufw('ufw --force disable');
    await sh('nft flush table ip filter; iptables-nft -P INPUT ACCEPT; iptables-nft -P FORWARD ACCEPT');
  });

  t.test('firewalld and ufw are known', async (t) => {
    await sh(
      "nft 'add table inet firewalld; add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; policy accept; }; add rule inet firewalld filter_FORWARD reject'",
    );
    await sh('iptables-nft -P FORWARD DROP; iptables-nft -N ufw-user-forward');
    await h1.mesh.check();
    t.match(h1.mesh.problems().join('\n'), /ufw route allow out on swarmd-mesh/);
    t.match(h1.mesh.problems().join('\n'), /firewall-cmd --permanent --zone=trusted --add-interface=swarmd-mesh/);
    await sh("nft 'add rule inet firewalld filter_FORWARD ct status dnat accept'");
    await h1.mesh.check();
    t.notMatch(h1.mesh.problems().join('\n'), /firewalld/, 'it lets what was led elsewhere pass, as recent ones do');
    await sh('nft delete table inet firewalld; iptables-nft -P FORWARD ACCEPT; iptables-nft -X ufw-user-forward');
    await h1.mesh.check();
    t.same(h1.mesh.problems(), []);
  });

  t.test('a subnet of this host in the ingress network is told, and its route kept', async (t) => {
    await sh(
      'ip link add lan type veth peer name nal; ip link set nal up; ip addr add 10.0.0.9/24 dev lan; ip link set lan up',
    );
    await h1.mesh.check();
    t.match(h1.mesh.problems(), [
      /^the ingress network's subnet 10\.0\.0\.0\/24 overlaps with 10\.0\.0\.0\/24, .* by lan:/,
    ]);
    t.match(await sh('ip route get 10.0.0.20'), 'dev lan');
    await sh('ip link del lan');
    await h1.mesh.check();
    t.same(h1.mesh.problems(), []);
  });

  async function repair(t: import('tap').Test, run = sh): Promise<void> {
    const [problem = '', ...more] = h1.mesh.problems();
    t.same(more, []);
    const [, command = ''] = /`(.*)`/.exec(problem) ?? [];
    await run(command);
    t.equal(await bed.ask(bed.client, h1.addr, 8080), answer, command);
    await h1.mesh.check();
    t.same(h1.mesh.problems(), []);
  }
});
