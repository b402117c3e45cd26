import { type Clock, SwarmdError } from '@swarmd/model';
import type { Run } from './command.js';

/** Tables of ours that count probes; whatever is left of them goes with the rest at a reset. */
export const PROBE_TABLE_PREFIX = 'swarmd_probe_';
const HEARD = 'heard';
const ARRIVED = 'arrived';
/** Probes of other people that may be under way. */
const MAX_LISTENING = 4;
const MAX_SOURCES = 65_535;
const MAX_LISTEN_MS = 120_000;

/** Source addresses of probes. */
export interface Heard {
  /** That got through all firewalls of this host. */
  heard: string[];
  /** That got to this host. */
  arrived: string[];
}

/** Hears which datagrams get through all firewalls of this host, without a socket: the VXLAN port is the kernel's. */
export interface ProbeListeners {
  /** `unavailable` when too many listen already, or nft refuses. */
  listen(token: string, port: number, forMs: number): Promise<void>;
  /** Where datagrams with the token came from; ends listening. `not-found` when nobody listens (any more). */
  heard(token: string): Promise<Heard>;
  close(): Promise<void>;
}

/** The first four bytes of a probe: no VXLAN packet, which have a bit set in the first. `invalid-argument` for no token. */
export function probePayload(token: string): Buffer {
  if (!/^[0-9a-f]{6}$/.test(token))
    throw new SwarmdError('invalid-argument', 'a token has six hexadecimal digits', { field: 'token' });
  return Buffer.from(`00${token}${'00'.repeat(12)}`, 'hex');
}

/** {@link ProbeListeners} with rules of nftables. */
export function createProbeListeners(run: Run, clock: Clock): ProbeListeners {
  const listening = new Map<string, () => void>();
  const remove = async (token: string): Promise<void> => {
    listening.get(token)?.();
    listening.delete(token);
    await run(['nft', 'delete', 'table', 'inet', tableOf(token)]);
  };
  return {
    listen: async (token, port, forMs) => {
      const script = listenScript(token, port);
      if (listening.size >= MAX_LISTENING)
        throw new SwarmdError('unavailable', 'this node takes part in other probes already');
      listening.set(token, () => {});
      const { code, stderr } = await run(['nft', '-f', '-'], { input: script });
      if (code !== 0) {
        listening.delete(token);
        throw new SwarmdError('unavailable', `nft: ${stderr.trim().split('\n')[0]}`);
      }
      listening.set(
        token,
        clock.after(Math.min(MAX_LISTEN_MS, forMs), () => void remove(token)),
      );
    },
    heard: async (token) => {
      if (!listening.has(token)) throw new SwarmdError('not-found', 'nothing listens for these probes any more');
      const { stdout } = await run(['nft', '-j', 'list', 'table', 'inet', tableOf(token)]);
      await remove(token);
      return { heard: heardIn(stdout, HEARD), arrived: heardIn(stdout, ARRIVED) };
    },
    close: async () => {
      for (const token of [...listening.keys()]) await remove(token);
    },
  };
}

function tableOf(token: string): string {
  return `${PROBE_TABLE_PREFIX}${token}`;
}

/** Before all other tables, and after them: what they drop arrives and is not heard. */
function listenScript(token: string, port: number): string {
  const first = `0x${probePayload(token).subarray(0, 4).toString('hex')}`;
  const table = `inet ${tableOf(token)}`;
  const set = (name: string, type: string): string =>
    `add set ${table} ${name} { type ${type}; flags dynamic; size ${MAX_SOURCES}; }`;
  const chain = (name: string, hook: string): string[] => [
    set(`${name}4`, 'ipv4_addr'),
    set(`${name}6`, 'ipv6_addr'),
    `add chain ${table} ${name} { type filter hook ${hook}; policy accept; }`,
    ...['ip', 'ip6'].map((family) => {
      const into = `@${name}${family === 'ip' ? 4 : 6}`;
      return `add rule ${table} ${name} udp dport ${Number(port)} @th,64,32 ${first} add ${into} { ${family} saddr }`;
    }),
  ];
  const lines = [
    `add table ${table}`,
    ...chain(ARRIVED, 'prerouting priority -500'),
    ...chain(HEARD, 'input priority 1000'),
  ];
  return `${lines.join('\n')}\n`;
}

/** The elements of the sets of that name, for either version of IP, in what `nft -j list table` prints. */
export function heardIn(json: string, name: string): string[] {
  const { nftables = [] } = (json === '' ? {} : JSON.parse(json)) as {
    nftables?: { set?: { name?: string; elem?: unknown[] } }[];
  };
  const ours = nftables.filter(({ set }) => set?.name === `${name}4` || set?.name === `${name}6`);
  return ours.flatMap(({ set }) => (set?.elem ?? []).filter((elem) => typeof elem === 'string'));
}
