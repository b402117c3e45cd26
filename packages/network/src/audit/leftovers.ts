import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { filterChains } from '../mesh/filter-chains.js';
import { HOST_LINK, TABLE as MESH_TABLE } from '../mesh/node-rules.js';
import { type Run, runJson } from './command.js';
import { PROBE_TABLE_PREFIX } from './listeners.js';
import { iptablesVariants } from './walls.js';

/** Something of swarmd's networks on this host. */
export interface Leftover {
  kind: 'namespace' | 'link' | 'table' | 'rule' | 'state';
  /** Path, name, or what it says. */
  name: string;
  /** Takes it away; resolves with why it could not, empty when it is gone. */
  remove(): Promise<string>;
}

/** Where to look. */
export interface LeftoverPlaces {
  /** swarmd's run directory, with the namespaces of networks. */
  runDir: string;
  /** swarmd-net's state. */
  stateDir: string;
}

/** What of swarmd's networks is on this host, whatever made it. Only names of ours are looked at: nobody else's are. */
export async function findLeftovers(run: Run, { runDir, stateDir }: LeftoverPlaces): Promise<Leftover[]> {
  return [
    ...(await rules(run)),
    ...(await namespaces(run, join(runDir, 'netns'))),
    ...(await links(run)),
    ...(await tables(run)),
    ...(existsSync(stateDir) ? [state(stateDir)] : []),
  ];
}

async function attempt(run: Run, argv: readonly string[], options?: Parameters<Run>[1]): Promise<string> {
  const { code, stderr } = await run(argv, options);
  return code === 0 ? '' : stderr.trim().split('\n')[0] || `${argv.join(' ')} failed`;
}

async function rules(run: Run): Promise<Leftover[]> {
  const found: Leftover[] = [];
  const text = async (...argv: string[]): Promise<string> => (await run(argv)).stdout;
  const listing = await text('nft', 'list', 'chains');
  const [four, six] = await Promise.all(
    ([4, 6] as const).map((version) => iptablesVariants(text, filterChains(listing, 'forward', version), version)),
  );
  for (const iptables of [...four!, ...six!]) {
    const { stdout } = await run([iptables, '-w', '-S', 'DOCKER-USER']);
    for (const line of stdout.split('\n')) {
      if (!line.startsWith('-A DOCKER-USER ') || !line.includes(` ${HOST_LINK} `)) continue;
      const words = line.split(' ').slice(1);
      found.push({
        kind: 'rule',
        name: `${iptables} ${line}`,
        remove: () => attempt(run, [iptables, '-w', '-D', ...words]),
      });
    }
  }
  return found;
}

async function namespaces(run: Run, root: string): Promise<Leftover[]> {
  const names = await readdir(root).catch(() => []);
  return names.map((name) => {
    const path = join(root, name);
    const remove = async (): Promise<string> => {
      // Its VNI is to be free at once, though something may keep the namespace itself alive.
      await run(['ip', 'link', 'delete', 'vx0'], { namespace: path });
      await run(['umount', '-l', path]);
      return rm(path, { force: true }).then(
        () => '',
        (error: Error) => error.message,
      );
    };
    return { kind: 'namespace', name: path, remove };
  });
}

async function links(run: Run): Promise<Leftover[]> {
  const all = (await runJson<{ ifname: string }[]>(run, ['ip', '-j', 'link', 'show'])) ?? [];
  // The ends that the engine did not take are named after its endpoint: `vc` and hexadecimal digits.
  const ours = all.filter(({ ifname }) => ifname === HOST_LINK || /^vc[0-9a-f]{8,}$/.test(ifname));
  return ours.map(({ ifname }) => ({
    kind: 'link',
    name: ifname,
    remove: () => attempt(run, ['ip', 'link', 'delete', ifname]),
  }));
}

async function tables(run: Run): Promise<Leftover[]> {
  const { stdout } = await run(['nft', 'list', 'tables']);
  return [...stdout.matchAll(/^table (\S+) (\S+)$/gm)].flatMap(([, family = '', name = '']): Leftover[] => {
    const ours = name === 'swarmd' || name === MESH_TABLE || name.startsWith(PROBE_TABLE_PREFIX);
    if (!ours) return [];
    return [
      {
        kind: 'table',
        name: `${family} ${name}`,
        remove: () => attempt(run, ['nft', 'delete', 'table', family, name]),
      },
    ];
  });
}

function state(path: string): Leftover {
  const remove = (): Promise<string> =>
    rm(path, { recursive: true }).then(
      () => '',
      (error: Error) => error.message,
    );
  return { kind: 'state', name: path, remove };
}
