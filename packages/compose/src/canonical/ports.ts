import { composeError } from '../problem.js';
import { scalar, sequenceLike, type Tree } from '../syntax/tree.js';
import { mappingAt, type Transform, textAt, textOf } from './build.js';

/** First and last port of a range, both included. */
export interface PortRange {
  first: number;
  last: number;
}

/** `80` or `8000-8010`; undefined when it is neither, or out of 0–65535. */
export function parsePortRange(text: string): PortRange | undefined {
  const found = /^([0-9]+)(?:-([0-9]+))?$/.exec(text);
  if (found === null) return undefined;
  const first = Number(found[1]);
  const last = Number(found[2] ?? found[1]);
  return first <= last && last <= 65_535 ? { first, last } : undefined;
}

/** The parts of `[[IP:]PUBLISHED:]TARGET[/PROTOCOL]`; undefined when it is not of this form. An IPv6 address stands in brackets. */
export function splitPort(
  text: string,
): { hostIp?: string; published?: string; target: string; protocol: string } | undefined {
  const found = /^(?:(?:\[([^\]]*)\]|([^:[\]]*)):)??(?:([^:[\]]*):)?([0-9-]+)(?:\/([a-zA-Z]+))?$/.exec(text);
  if (found === null) return undefined;
  const hostIp = found[1] ?? found[2];
  return {
    ...(hostIp === undefined || hostIp === '' ? {} : { hostIp }),
    ...(found[3] === undefined || found[3] === '' ? {} : { published: found[3] }),
    target: found[4]!,
    protocol: (found[5] ?? 'tcp').toLowerCase(),
  };
}

const PROTOCOLS = ['tcp', 'udp', 'sctp'];

/**
 * `ports` as mappings `{ mode, host_ip?, target, published?, protocol }`, one for each port of a range. Where one
 * target has a range of published ports, `published` keeps the range. Source: Compose Specification, "ports".
 */
export const toPorts: Transform = (node, path) => {
  if (node.kind !== 'sequence') return node;
  const items = node.items.flatMap((item, index) => {
    const text = textOf(item);
    return text === undefined ? [item] : shortPorts(text, item, `${path}[${index}]`);
  });
  return sequenceLike(node, items);
};

function shortPorts(text: string, item: Tree, path: string): Tree[] {
  const fail = (reason: string): never => {
    throw composeError(path, `port ${JSON.stringify(text)}: ${reason}`, item.at);
  };
  const parts = splitPort(text) ?? fail('expected [[IP:]PUBLISHED:]TARGET[/PROTOCOL]');
  if (!PROTOCOLS.includes(parts.protocol)) fail(`protocol ${parts.protocol} is none of ${PROTOCOLS.join(', ')}`);
  const target = parsePortRange(parts.target) ?? fail('the target is no port or range of ports');
  if (target.first === 0) fail('0 is no port of a container');
  const published =
    parts.published === undefined
      ? undefined
      : (parsePortRange(parts.published) ?? fail('the published port is no port or range of ports'));
  const count = target.last - target.first + 1;
  if (published !== undefined && count > 1 && published.last - published.first + 1 !== count) {
    fail('the two ranges differ in length');
  }
  const at = item.at;
  return Array.from({ length: count }, (_, index) =>
    mappingAt(at, {
      mode: textAt(at, 'ingress'),
      host_ip: parts.hostIp === undefined ? undefined : textAt(at, parts.hostIp),
      target: scalar(target.first + index, at),
      published:
        published === undefined
          ? undefined
          : textAt(at, count === 1 ? parts.published! : String(published.first + index)),
      protocol: textAt(at, parts.protocol),
    }),
  );
}
