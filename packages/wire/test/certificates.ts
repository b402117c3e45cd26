import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { type Identity, parseIdentity, ROLE_UNITS, SERVER_NAMES } from '../src/index.js';

const KEY = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** A root that signs nodes' certificates for tests. */
export interface TestRoot {
  rootPem: string;
  identity(over: {
    nodeId: string;
    role: 'worker' | 'manager';
    clusterId?: string;
    validMs?: number;
  }): Promise<Identity>;
}

export async function createTestRoot(): Promise<TestRoot> {
  const keys = await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
  const root = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: `CN=test-root-${webcrypto.randomUUID()}`,
      keys,
      signingAlgorithm: SIGNATURE,
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + 3_600_000),
      extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
    },
    webcrypto,
  );
  const rootPem = `${root.toString('pem')}\n`;
  return {
    rootPem,
    identity: async ({ nodeId, role, clusterId = 'cluster', validMs = 3_600_000 }) => {
      const own = await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
      const names = [ROLE_UNITS[role], nodeId, ...(role === 'manager' ? [SERVER_NAMES.ca] : [])];
      const certificate = await x509.X509CertificateGenerator.create(
        {
          issuer: root.subjectName,
          subject: [{ O: [clusterId] }, { OU: [ROLE_UNITS[role]] }, { CN: [nodeId] }],
          notBefore: new Date(Date.now() - 60_000),
          notAfter: new Date(Date.now() + validMs),
          publicKey: own.publicKey,
          signingKey: keys.privateKey,
          signingAlgorithm: SIGNATURE,
          extensions: [new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns', value })))],
        },
        webcrypto,
      );
      const der = await webcrypto.subtle.exportKey('pkcs8', own.privateKey);
      const keyPem = `${x509.PemConverter.encode(der, 'PRIVATE KEY')}\n`;
      return parseIdentity({ certificatePem: `${certificate.toString('pem')}\n`, keyPem, rootPem });
    },
  };
}
