import type { ChannelInterface } from '@grpc/grpc-js';

/** Channels to the other managers. */
export interface ManagerPeers {
  /** A channel to a manager, kept and closed by its owner; `undefined` when its address is not known. */
  channel(managerId: string): ChannelInterface | undefined;
}

/** Which managers are connected to the one that leads. */
export interface AttachedManagers {
  has(managerId: string): boolean;
  /** Calls `listener` after each change; the returned function ends that. */
  onChange(listener: () => void): () => void;
}
