import { type Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { ERROR_CODES, ERROR_TABLE, SwarmdError } from '@swarmd/model';
import t from 'tap';
import { fromGrpcError, METHOD_ACCESS, mayCall, toGrpcStatus } from '../src/index.js';

t.test('errors › every code of ours comes back from its gRPC status, with message and field', (t) => {
  for (const code of ERROR_CODES) {
    const sent = toGrpcStatus(new SwarmdError(code, 'was füllt das Fass', { field: 'Spec.Náme' }));
    t.equal(sent.code, ERROR_TABLE[code].grpc);
    const back = fromGrpcError(sent);
    t.match(back, { code, message: 'was füllt das Fass', field: 'Spec.Náme' });
  }
  for (const rpc of [true, false]) {
    const sent = new SwarmdError('not-found', 'nothing here', { rpc });
    t.equal(fromGrpcError(toGrpcStatus(sent)).apiMessage, sent.apiMessage, 'as the API shows it');
  }
  t.end();
});

t.test('errors › statuses that are not ours', (t) => {
  const foreign = (code: status, metadata?: Metadata): Partial<ServiceError> => ({
    code,
    details: 'said so',
    metadata,
  });
  t.equal(fromGrpcError(foreign(status.UNAVAILABLE)).code, 'unavailable');
  t.equal(fromGrpcError(foreign(status.CANCELLED)).code, 'aborted');
  t.equal(fromGrpcError(foreign(status.RESOURCE_EXHAUSTED)).code, 'unavailable');
  t.equal(fromGrpcError(new TypeError('a bug')).code, 'internal');
  t.equal(toGrpcStatus(new TypeError('a bug')).code, status.INTERNAL);
  t.end();
});

t.test('access › by method and role, denied by default', (t) => {
  const table = { '/s/Open': 'anyone', '/s/Node': 'node', '/s/Manager': 'manager' } as const;
  const may = (path: string) =>
    [undefined, 'worker' as const, 'manager' as const].map((role) => mayCall(table, path, role));
  t.same(may('/s/Open'), [true, true, true]);
  t.same(may('/s/Node'), [false, true, true]);
  t.same(may('/s/Manager'), [false, false, true]);
  t.same(may('/s/Other'), [false, false, false]);
  t.same(may('constructor'), [false, false, false]);
  const open = Object.entries(METHOD_ACCESS).filter(([, access]) => access === 'anyone');
  t.same(
    open.map(([path]) => path.split('/')[2]),
    ['GetRootCertificate', 'IssueCertificate'],
  );
  t.end();
});
