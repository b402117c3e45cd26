import { Arguments } from '../cluster/arguments.js';
import type { LeaderCalls, LeaderHandlers } from '../cluster/leader-calls.js';
import type { CertificateIssuer, CertifiedPeer } from './issuer.js';

/** The leader's {@link CertificateIssuer}, whichever manager that is. */
export function remoteIssuer(leader: LeaderCalls): CertificateIssuer {
  return {
    issueCertificate: async ({ csrPem, description, ...texts }, peer, requestId) => {
      const request = { ...texts, csrPem: base64(csrPem), description: base64(description) };
      const args = { request, peer: peer && sent(peer), requestId };
      const answer = new Arguments(await leader.call('ca.issueCertificate', args, { requestId }));
      return {
        nodeId: answer.text('nodeId'),
        clusterId: answer.text('clusterId'),
        role: answer.text('role'),
        certificatePem: answer.bytes('certificatePem'),
        rootCertificatePem: answer.bytes('rootCertificatePem'),
      };
    },
  };
}

/** What the leader does when other managers call for {@link remoteIssuer}. */
export function issuerHandlers(local: CertificateIssuer): LeaderHandlers {
  return {
    'ca.issueCertificate': async (value) => {
      const args = new Arguments(value);
      const request = args.nested('request');
      const asked = {
        token: request.text('token'),
        availability: request.text('availability'),
        advertiseAddr: request.text('advertiseAddr'),
        noManagerReason: request.text('noManagerReason'),
        externalStore: request.flag('externalStore'),
        csrPem: request.bytes('csrPem'),
        description: request.bytes('description'),
      };
      const peer = args.has('peer') ? peerIn(args.nested('peer')) : undefined;
      const issued = await local.issueCertificate(asked, peer, args.text('requestId'));
      const certificatePem = base64(issued.certificatePem);
      return { ...issued, certificatePem, rootCertificatePem: base64(issued.rootCertificatePem) };
    },
  };
}

function sent({ nodeId, role, clusterId, notAfter }: CertifiedPeer): CertifiedPeer {
  return { nodeId, role, clusterId, notAfter };
}

function peerIn(args: Arguments): CertifiedPeer {
  const role = args.oneOf('role', ['worker', 'manager']);
  return { nodeId: args.text('nodeId'), role, clusterId: args.text('clusterId'), notAfter: args.count('notAfter') };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
