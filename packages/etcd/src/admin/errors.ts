/** What etcd refuses an operation for, where the caller has to act on it. */
export type EtcdErrorKind =
  | 'unhealthy'
  | 'not-enough-started'
  | 'too-many-learners'
  | 'learner-not-ready'
  | 'not-learner'
  | 'member-not-found'
  | 'member-exists'
  | 'not-leader'
  | 'compacted'
  | 'too-many-operations'
  | 'too-large'
  | 'auth-required'
  | 'no-space';

// etcd's own clients tell errors apart by these words too (etcdserver/api/v3rpc/rpctypes/error.go): its gRPC codes are
// shared by errors that need different answers.
const WORDS: Readonly<Record<string, EtcdErrorKind>> = {
  'etcdserver: unhealthy cluster': 'unhealthy',
  'etcdserver: re-configuration failed due to not enough started members': 'not-enough-started',
  'etcdserver: too many learner members in cluster': 'too-many-learners',
  'etcdserver: can only promote a learner member which is in sync with leader': 'learner-not-ready',
  'etcdserver: can only promote a learner member': 'not-learner',
  'etcdserver: member not found': 'member-not-found',
  'etcdserver: Peer URLs already exists': 'member-exists',
  'etcdserver: member ID already exist': 'member-exists',
  'etcdserver: not leader': 'not-leader',
  'etcdserver: mvcc: required revision has been compacted': 'compacted',
  'etcdserver: too many operations in txn request': 'too-many-operations',
  'etcdserver: request is too large': 'too-large',
  'etcdserver: user name is empty': 'auth-required',
  'etcdserver: permission denied': 'auth-required',
  'etcdserver: mvcc: database space exceeded': 'no-space',
};

/** What `thrown` says, when it is an error of etcd's that has a kind. */
export function etcdErrorKind(thrown: unknown): EtcdErrorKind | undefined {
  if (!(thrown instanceof Error)) return undefined;
  if (/received message larger than max/.test(thrown.message)) return 'too-large';
  return WORDS[thrown.message];
}
