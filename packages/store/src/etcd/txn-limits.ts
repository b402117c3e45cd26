import { CompareResult, CompareTarget, type EtcdClient, rangeOp } from '@swarmd/etcd';
import { isErrorCode } from '@swarmd/model';

/** How much fits into one transaction of etcd. */
export interface TxnLimits {
  operations: number;
  /** Of keys and values together, with room for what else a request holds. */
  bytes: number;
}

/** What etcd always takes: its own defaults are 128 operations and 1.5 MiB. */
const LEAST: TxnLimits = { operations: 128, bytes: 1_500_000 };
/** Larger ones would hold up etcd's heartbeats. */
const LARGER = { operations: [10_240, 1_024], bytes: [8 << 20, 4 << 20] } as const;
/** etcd takes messages this much larger than the requests that it takes. */
const MESSAGE_OVERHEAD_BYTES = 512 * 1024;
/** For what a request holds besides keys and values: some bytes an operation. */
const RESERVED_BYTES = 256 * 1024;

/**
 * How much the etcd takes at once, by sending it larger and larger transactions that only read: they change nothing and
 * go to no other member.
 */
export async function probeTxnLimits(client: EtcdClient, key: string): Promise<TxnLimits> {
  const limits = { ...LEAST };
  for (const operations of LARGER.operations) {
    if (!(await takes(client, key, operations, 0))) continue;
    limits.operations = operations;
    break;
  }
  for (const bytes of LARGER.bytes) {
    if (!(await takes(client, key, 1, bytes + MESSAGE_OVERHEAD_BYTES))) continue;
    limits.bytes = bytes - RESERVED_BYTES;
    break;
  }
  return limits;
}

async function takes(client: EtcdClient, key: string, operations: number, bytes: number): Promise<boolean> {
  const read = rangeOp(key, { countOnly: true, serializable: true });
  try {
    await client.txn({
      // Compared values are not written to etcd's own log.
      compare: [
        {
          key: Buffer.from(key),
          result: CompareResult.NOT_EQUAL,
          target: CompareTarget.VALUE,
          targetUnion: { $case: 'value', value: Buffer.alloc(bytes) },
        },
      ],
      success: Array.from({ length: operations }, () => read),
    });
    return true;
  } catch (error) {
    if (isErrorCode(error, 'invalid-argument')) return false;
    throw error;
  }
}
