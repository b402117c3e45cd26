import { type Control, type LocalNodeInfo, type Membership, SwarmdError } from '@swarmd/model';
import type { Logger } from 'pino';
import type { Engine } from './engine/engine.js';

/** What every group of routes is given. */
export interface ApiContext {
  membership: Membership;
  engine: Engine;
  logger: Logger;
  /** Fires when the API closes: streams end. */
  closing: AbortSignal;
}

const NO_SWARM =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';
const WORKER =
  "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager.";
const NOT_READY =
  'This node is not a swarm manager. Manager is being prepared or has trouble connecting to the cluster.';
const LOCKED =
  'Swarm is encrypted and needs to be unlocked before it can be used. Please use "docker swarm unlock" to unlock it.';

/** This manager's control; throws `unavailable` in Docker's words when this node is none. */
export function requireControl(membership: Membership): Control {
  const control = membership.control();
  if (control !== undefined) return control;
  throw new SwarmdError('unavailable', whyNotManager(membership.info()));
}

function whyNotManager(info: LocalNodeInfo): string {
  if (info.LocalNodeState === 'inactive') return NO_SWARM;
  if (info.LocalNodeState === 'locked') return LOCKED;
  if (info.Standby) return `This node is not a swarm manager that serves: ${info.Error}`;
  return info.ControlAvailable || info.LocalNodeState === 'pending' ? NOT_READY : WORKER;
}
