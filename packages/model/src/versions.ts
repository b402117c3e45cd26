import { SwarmdError } from './errors.js';

/** Versions of a protocol, both included. */
export interface ProtocolRange {
  min: number;
  max: number;
}

/** What one swarmd is, speaks and can read. */
export interface Versions {
  /** The program's version, for people. */
  swarmd: string;
  /** What it speaks with other managers and with agents. */
  protocol: ProtocolRange;
  /** The newest form of the cluster's state that it reads and writes; it reads all older ones. */
  stateFormat: number;
}

/** This program's own. `docs/decisions/versions.md` says when which number is raised. */
export const VERSIONS: Versions = { swarmd: '0.1.0', protocol: { min: 1, max: 1 }, stateFormat: 1 };

/** The protocol that two sides speak with each other: the newest that both know; `undefined` when there is none. */
function commonProtocol(a: ProtocolRange, b: ProtocolRange): number | undefined {
  const newest = Math.min(a.max, b.max);
  return newest >= Math.max(a.min, b.min) ? newest : undefined;
}

type Speaker = Pick<Versions, 'swarmd' | 'protocol'>;

/** Why two sides cannot work together: names both, and which of them is to be upgraded. `undefined` when they can. */
export function protocolRefusal(here: Speaker, other: Speaker): SwarmdError | undefined {
  if (commonProtocol(here.protocol, other.protocol) !== undefined) return undefined;
  const [older, newer] = other.protocol.max < here.protocol.min ? [other, here] : [here, other];
  const problem = `${spoken(older)} and ${spoken(newer)} have no protocol in common`;
  return new SwarmdError('incompatible', `${problem}: upgrade swarmd ${older.swarmd}, through a version in between`);
}

/** Why a swarmd cannot work on a state of `format`; `undefined` when it can. `state` names the state, for people. */
export function formatRefusal(
  state: string,
  format: number | undefined,
  own: Pick<Versions, 'swarmd' | 'stateFormat'> = VERSIONS,
): SwarmdError | undefined {
  if (format === undefined || format <= own.stateFormat) return undefined;
  const reads = `swarmd ${own.swarmd} reads formats up to ${own.stateFormat}`;
  return new SwarmdError('incompatible', `${state} has format ${format}, and ${reads}: start the newer swarmd again`);
}

function spoken({ swarmd, protocol: { min, max } }: Speaker): string {
  return `swarmd ${swarmd} (protocol ${min === max ? min : `${min} to ${max}`})`;
}
