import { SwarmdError } from '@swarmd/model';

/** The keys of a log in etcd, under one prefix. */
export interface Layout {
  prefix: string;
  /** The fence: plain JSON that says who leads. Its mod_revision is the leader's term. */
  leader: string;
  /** The sealed state of the log after the last entry. */
  state: string;
  /** There while an entry is durable in parts and not yet copied to the objects. */
  pending: string;
  /** Sealed values by record key: `o/<table>/<id>`. */
  objects: string;
  /** Parts of an entry too large for one transaction of etcd: `part/<index>/<n>`. */
  parts: string;
}

/** The layout under `prefix`, which ends with a slash. */
export function layoutOf(prefix: string): Layout {
  return {
    prefix,
    leader: `${prefix}leader`,
    state: `${prefix}state`,
    pending: `${prefix}pending`,
    objects: `${prefix}o/`,
    parts: `${prefix}part/`,
  };
}

/** The key of a part; keys of the same entry sort by `n`. */
export function partKey({ parts }: Layout, index: number, n: number): string {
  return `${parts}${index}/${String(n).padStart(6, '0')}`;
}

/** The error for a log in etcd that is not as it was left: what is wrong, and the way out. */
export function damaged({ prefix }: Layout, finding: string): SwarmdError {
  const wayOut = 'Nothing was dropped silently. Put back a snapshot of etcd from before, or set up a new cluster';
  return new SwarmdError('damaged', `the store in etcd under ${prefix} is damaged: ${finding}. ${wayOut}`);
}
