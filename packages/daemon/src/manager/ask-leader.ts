import { createGrpcTransport } from '@swarmd/manager';
import { isErrorCode, SwarmdError } from '@swarmd/model';
import type { Vault } from '@swarmd/store';
import type { IdentityHolder } from '@swarmd/wire';
import type { DaemonConfig } from '../config.js';
import type { Member } from '../member-file.js';

/** What a node needs that is to become a manager. */
export interface JoinStoreOptions {
  config: DaemonConfig;
  identity: IdentityHolder;
  member: Member;
  /** What this node keeps its secrets in. */
  vault: Vault;
  /** Managers that may pass a call on to the leader, `host:port`. */
  managers(): readonly string[];
  signal: AbortSignal;
}

/** Asks any manager to have the leader run `method`. Rejects with the leader's refusal, or `unavailable`. */
export async function askLeader(
  { identity, managers, member, signal }: Omit<JoinStoreOptions, 'config' | 'vault'>,
  method: string,
  args: unknown,
  timeoutMs: number,
): Promise<unknown> {
  const transport = createGrpcTransport(identity);
  try {
    let last: unknown = new SwarmdError('unavailable', 'no manager’s address is known');
    for (const addr of managers()) {
      if (addr === member.advertiseAddr) continue;
      try {
        return await transport.relay(addr, method, args, { timeoutMs, signal });
      } catch (error) {
        if (signal.aborted || !isErrorCode(error, 'unavailable', 'not-leader', 'deadline-exceeded')) throw error;
        last = error;
      }
    }
    throw last;
  } finally {
    transport.close();
  }
}
