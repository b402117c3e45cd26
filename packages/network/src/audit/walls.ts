import { type FilterChain, filterChains, isIptables } from '../mesh/filter-chains.js';
import { HOST_LINK } from '../mesh/node-rules.js';
import type { Run } from './command.js';
import { acceptsUdp, dropsUnlessAccepted, hasUncertainAccepts, type RuleWords, within } from './wall-rules.js';

/** Swarmd's own, which lets peers in. */
const GUARD_TABLE = 'swarmd';

/** A firewall of this host, not swarmd's, that keeps the VXLAN port shut. */
export interface Wall {
  /** Such as `ufw`, or `iptables-nft (chain INPUT)`. */
  name: string;
  /** Opens the port; nothing of the guard is lost, which lets only peers in. */
  command: string;
  /** Whether it is shut beyond doubt: no other rule of it may let peers in. */
  certain: boolean;
}

/** The port that is asked after. */
export interface WalledPort {
  /** UDP. */
  port: number;
  /** This node's data path address: it tells the version of IP, and the interface. */
  addr: string;
}

/** Firewalls of this host that keep a port shut, as their rules read. Those who can try it out know better. */
export async function readWalls(run: Run, at: WalledPort, signal?: AbortSignal): Promise<Wall[]> {
  const text = async (...argv: string[]): Promise<string> => (await run(argv, { signal })).stdout;
  const chains = filterChains(await text('nft', 'list', 'chains'), 'input', at.addr.includes(':') ? 6 : 4);
  return [
    ...(await firewalldWalls(run, at, signal)),
    ...ufwWalls(await text('ufw', 'status', 'verbose'), at.port),
    ...(await iptablesWalls(text, chains, at)),
    ...(await nftWalls(text, chains, at)),
  ];
}

/** What `ufw status verbose` says of a port. */
export function ufwWalls(status: string, port: number): Wall[] {
  if (!/^Status: active$/m.test(status) || /^Default: allow \(incoming\)/m.test(status)) return [];
  const rules = [...status.matchAll(/^(\S+)( \(v6\))?( on \S+)?\s+(ALLOW|LIMIT)( IN)?\s+(?!FWD|OUT)/gm)];
  const named = (to: string): boolean => {
    const [ports = '', protocol = 'udp'] = to.split('/');
    return protocol === 'udp' && ports.split(',').some((one) => within(port, one, ':'));
  };
  if (rules.some(([, to = '']) => to === 'Anywhere' || named(to))) return [];
  // A rule for one address of this host.
  const certain = !rules.some(([, to = '']) => to.includes('.') || /:.*:/.test(to));
  return [{ name: 'ufw', command: `ufw allow ${port}/udp`, certain }];
}

async function firewalldWalls(run: Run, { port, addr }: WalledPort, signal?: AbortSignal): Promise<Wall[]> {
  const ask = (...args: string[]): ReturnType<Run> => run(['firewall-cmd', ...args], { signal });
  if ((await ask('--state')).stdout.trim() !== 'running') return [];
  const links = await run(['ip', '-o', 'address', 'show', 'to', addr], { signal });
  const device = /^\d+: (\S+)/.exec(links.stdout)?.[1] ?? '';
  const own = await ask(`--get-zone-of-interface=${device}`);
  const standard = (await ask('--get-default-zone')).stdout.trim();
  const zone = own.code === 0 ? own.stdout.trim() : standard;
  const about = (await ask(`--zone=${zone}`, '--list-all')).stdout;
  if (/^ {2}target: ACCEPT$/m.test(about)) return [];
  for (const query of [`--query-port=${port}/udp`, '--query-service=docker-swarm']) {
    if ((await ask(`--zone=${zone}`, query)).code === 0) return [];
  }
  const nft = (await run(['nft', 'list', 'table', 'inet', 'firewalld'], { signal })).stdout;
  const allowed = [...nft.matchAll(/^\tchain (\S+) \{\n([\s\S]*?)^\t\}/gm)].filter(([, name = '']) =>
    name.startsWith(`filter_IN_${zone}_`),
  );
  if (allowed.some(([, , body = '']) => acceptsUdp(body, port, 'nft'))) return [];
  const which = zone === standard ? '' : ` --zone=${zone}`;
  const command = `firewall-cmd --permanent${which} --add-port=${port}/udp && firewall-cmd --reload`;
  // Peers may be in a zone of their own by their addresses.
  const certain = !/^ {2}sources:/m.test((await ask('--get-active-zones')).stdout);
  return [{ name: `firewalld (zone ${zone})`, command, certain }];
}

type Read = (...argv: string[]) => Promise<string>;

async function iptablesWalls(text: Read, chains: readonly FilterChain[], { port, addr }: WalledPort): Promise<Wall[]> {
  const walls: Wall[] = [];
  for (const tool of await iptablesVariants(text, chains, addr.includes(':') ? 6 : 4)) {
    const rules = await text(tool, '-w', '-S');
    // ufw and firewalld make rules by it, and have been asked.
    if (/^-N (ufw6?-|IN_public)/m.test(rules)) continue;
    const command = `${tool} -I INPUT -p udp --dport ${port} -j ACCEPT`;
    walls.push(...wallOf({ name: `${tool} (chain INPUT)`, command }, rules, rules, { port, words: 'iptables' }));
  }
  return walls;
}

/** The variants of iptables that have rules here: the question to others would make tables. */
export async function iptablesVariants(text: Read, chains: readonly FilterChain[], version: 4 | 6): Promise<string[]> {
  const [tool, names] = version === 6 ? ['ip6tables', 'ip6_tables_names'] : ['iptables', 'ip_tables_names'];
  const legacy = (await text('cat', `/proc/net/${names}`)).split('\n').includes('filter');
  return [...(chains.some(isIptables) ? [`${tool}-nft`] : []), ...(legacy ? [`${tool}-legacy`] : [])];
}

async function nftWalls(text: Read, chains: readonly FilterChain[], { port }: WalledPort): Promise<Wall[]> {
  const walls: Wall[] = [];
  for (const chain of chains) {
    const { family, table, name } = chain;
    if (isIptables(chain) || table === 'firewalld' || table === GUARD_TABLE) continue;
    const place = `${family} ${table} ${name}`;
    const whole = await text('nft', 'list', 'table', family, table);
    const own = await text('nft', 'list', 'chain', family, table, name);
    const command = `nft insert rule ${place} udp dport ${port} accept`;
    walls.push(...wallOf({ name: `nftables (chain ${place})`, command }, own, whole, { port, words: 'nft' }));
  }
  return walls;
}

/** `own`: of the first chain alone; `whole`: with those that it may jump to. */
function wallOf(
  wall: Pick<Wall, 'name' | 'command'>,
  own: string,
  whole: string,
  { port, words }: { port: number; words: RuleWords },
): Wall[] {
  const dropping = dropsUnlessAccepted(own, port, words);
  if (dropping === 'no' || (dropping === 'rest' && acceptsUdp(whole, port, words))) return [];
  return [{ ...wall, certain: dropping === 'rest' && !hasUncertainAccepts(whole, words, HOST_LINK) }];
}
