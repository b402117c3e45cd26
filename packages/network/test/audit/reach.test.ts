import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { LocalEndpoint, NodeNetwork } from '@swarmd/model';
import t from 'tap';
import { runCommand } from '../../src/audit/command.js';
import type { NetworkKnowledge } from '../../src/audit/knowledge.js';
import { reach, readForwarding, resolveNames } from '../../src/audit/reach.js';
import { inOwnNamespace, noNamespaces, script } from './own-namespace.js';

const id = (name: string): string => `swd${name}${process.pid}`;
const path = (name: string): string => `/run/netns/${id(name)}`;
const NAMES = ['other', 'net', 'box', 'net2', 'box2'];
const network: NodeNetwork = {
  ...{ id: 'n1', name: 'front', vni: 2 ** 20, mtu: 1450, internal: false, ingress: false, attachable: false },
  addressBlocks: [],
  subnets: [{ subnet: '10.0.1.0/24', gateway: '10.0.1.1' }],
};
const local: LocalEndpoint = {
  ...{ networkId: 'n1', endpointId: 'e1', addresses: ['10.0.1.2'], taskId: 't1' },
  sandbox: path('box'),
};
const knowledge: NetworkKnowledge = {
  config: () => undefined,
  networks: () => new Map([['n1', network]]),
  members: () => undefined,
  locals: () => new Map([['e1', local]]),
};
const deps = { knowledge, run: runCommand, pathOf: () => path('net') };

/** Half of an overlay: network `net` of the host in `in`, with a container that has `own`, and the way to `other`. */
function half(
  host: string,
  net: string,
  box: string,
  over: Record<'at' | 'peer' | 'own' | 'other' | 'mac', string>,
): string {
  const { at, peer, own, other, mac } = over;
  return `
    ${host} ip link add vx${box} type vxlan id 1048576 local ${at} dstport 4789 nolearning proxy
    ${host} ip link set vx${box} netns ${id(net)} name vx0
    ip -n ${id(net)} link add br0 type bridge
    ip -n ${id(net)} address add 10.0.1.1/24 dev br0
    ip -n ${id(net)} link set vx0 master br0
    ip -n ${id(net)} link add p0 type veth peer name eth0 netns ${id(box)}
    ip -n ${id(net)} link set p0 master br0
    for link in lo br0 vx0 p0; do ip -n ${id(net)} link set $link up; done
    ip -n ${id(net)} neigh replace ${other} lladdr ${mac} dev vx0 nud permanent
    ip netns exec ${id(net)} bridge fdb replace ${mac} dev vx0 dst ${peer} self permanent
    ip -n ${id(box)} link set eth0 address 02:42:0a:00:01:0${own.at(-1)} mtu 1450
    ip -n ${id(box)} address add ${own}/24 dev eth0
    ip -n ${id(box)} link set eth0 up
    ip -n ${id(box)} link set lo up`;
}

async function overlay(): Promise<void> {
  const other = id('other');
  const inOther = `ip netns exec ${other}`;
  const mine = { at: '192.0.2.1', peer: '192.0.2.2', own: '10.0.1.2', other: '10.0.1.3', mac: '02:42:0a:00:01:03' };
  const theirs = { at: '192.0.2.2', peer: '192.0.2.1', own: '10.0.1.3', other: '10.0.1.2', mac: '02:42:0a:00:01:02' };
  await script(`
    ip link set lo up
    ${NAMES.map((name) => `ip netns add ${id(name)}`).join('\n')}
    ip link add a0 type veth peer name b0 netns ${other}
    ip address add 192.0.2.1/24 dev a0
    ip link set a0 up
    ip -n ${other} address add 192.0.2.2/24 dev b0
    ip -n ${other} link set b0 up
    ${half('', 'net', 'box', mine)}
    ${half(inOther, 'net2', 'box2', theirs)}`);
}

/** Starts a program in a namespace; resolves once it says that it is ready. */
async function inside(name: string, argv: readonly string[]): Promise<ChildProcess> {
  const child = spawn('nsenter', [`--net=${path(name)}`, '--', ...argv], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout!, 'data');
  return child;
}

const SERVER = `require('net').createServer((s) => s.end()).listen(8080, '10.0.1.3', () => console.log('ready'))`;

function tests(): void {
  const children: ChildProcess[] = [];
  t.before(overlay);
  t.teardown(async () => {
    for (const child of children) child.kill();
    await script(NAMES.map((name) => `ip netns del ${id(name)}`).join('\n'));
  });

  t.test('reach › follows the way from a container to one on another node, and says where it ends', async (t) => {
    children.push(await inside('box2', [process.execPath, '-e', SERVER]));
    const to = { do: 'reach', networkId: 'n1', from: '10.0.1.2', to: '10.0.1.3' } as const;
    const forwarding = { network: true, local: false, mac: '02:42:0a:00:01:03', nodeAddr: '192.0.2.2' };
    t.same(await reach(deps, { ...to, port: 8080 }), { ping: true, connect: 'open', forwarding });
    t.same(await reach(deps, { ...to, port: 8081 }), { ping: true, connect: 'refused', forwarding });
    t.same(await reach(deps, { ...to, port: 0 }), { ping: true, forwarding }, 'no port is tried unless one is named');
    await script(`ip netns exec ${id('net2')} bridge fdb del 02:42:0a:00:01:02 dev vx0 self`);
    t.match(await reach(deps, { ...to, port: 8080 }), { ping: false, connect: 'timeout', forwarding }, 'no way back');
    await script(`ip -n ${id('net')} neigh del 10.0.1.3 dev vx0`);
    t.match(await reach(deps, { ...to, port: 8080 }), {
      ping: false,
      connect: /timeout|unreachable/,
      forwarding: { mac: '', nodeAddr: '' },
    });
  });

  t.test('reach › forwarding tells what is here from what is elsewhere and what is nowhere', async (t) => {
    const nothing = { network: true, local: false, mac: '', nodeAddr: '' };
    t.same(await readForwarding(deps, 'n1', '10.0.1.2'), { ...nothing, local: true });
    t.same(await readForwarding(deps, 'n1', '10.0.1.99'), nothing);
    t.same(await readForwarding(deps, 'n2', '10.0.1.3'), { ...nothing, network: false });
    const gone = { ...deps, pathOf: () => '/run/netns/swd-none' };
    t.same(await readForwarding(gone, 'n1', '10.0.1.3'), { ...nothing, network: false });
  });

  t.test('reach › names are asked of the network’s server as the container, and of its engine', async (t) => {
    const program = fileURLToPath(new URL('./name-server-main.js', import.meta.url));
    children.push(await inside('net', [process.execPath, program, '10.0.1.1', '10.0.1.2', '10.0.1.9']));
    const asked = { do: 'resolve', networkId: 'n1', from: '10.0.1.2' } as const;
    const engine = { server: 'engine', rcode: 'UNREACHABLE', addresses: [] };
    t.same(await resolveNames(deps, { ...asked, name: 'web' }), {
      names: [{ server: 'network', rcode: 'NOERROR', addresses: ['10.0.1.9'] }, engine],
    });
    t.same(await resolveNames(deps, { ...asked, name: 'other' }), {
      names: [{ server: 'network', rcode: 'NXDOMAIN', addresses: [] }, engine],
    });
  });

  t.test('reach › containers that are not here, and what is no address, are refused', async (t) => {
    const to = { do: 'reach', networkId: 'n1', from: '10.0.1.2', to: '10.0.1.3', port: 0 } as const;
    await t.rejects(reach(deps, { ...to, from: '10.0.1.3' }), { code: 'not-found' });
    await t.rejects(reach(deps, { ...to, to: '-f' }), { code: 'invalid-argument', field: 'to' });
    await t.rejects(resolveNames(deps, { do: 'resolve', networkId: 'n2', from: '10.0.1.2', name: 'web' }), {
      code: 'not-found',
    });
  });
}

if (inOwnNamespace(import.meta.url)) {
  if (noNamespaces === false) tests();
  else t.pass('skipped', { skip: noNamespaces });
}
