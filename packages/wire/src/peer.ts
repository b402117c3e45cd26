import type { ServerUnaryCall } from '@grpc/grpc-js';
import { type Identity, parseSubject } from './identity.js';

/** Who a caller is, from the certificate that its TLS session was opened with. `notAfter` in milliseconds since the epoch. */
export interface Peer extends Pick<Identity, 'nodeId' | 'role' | 'clusterId' | 'notAfter'> {
  /** The certificate itself, DER. */
  certificate: Uint8Array;
}

/** The part of a gRPC server call that tells who calls. */
export type AuthenticatedCall = Pick<ServerUnaryCall<unknown, unknown>, 'getAuthContext'>;

/**
 * The caller of `call`; `undefined` when it showed no certificate, one that the trusted roots did not sign (grpc-js
 * gives no certificate then), or one that is not a node's.
 */
export function peerOf(call: AuthenticatedCall): Peer | undefined {
  const certificate = call.getAuthContext().sslPeerCertificate;
  const subject = parseSubject(certificate?.subject as unknown as Record<string, unknown> | undefined);
  if (certificate === undefined || subject === undefined) return undefined;
  return { ...subject, notAfter: Date.parse(certificate.valid_to), certificate: certificate.raw };
}
