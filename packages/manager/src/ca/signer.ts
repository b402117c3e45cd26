import 'reflect-metadata';
import { createPrivateKey, type webcrypto as crypto, type KeyObject, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

/** A certificate and its private key (PKCS#8), both PEM. */
export interface CertificateAndKey {
  certificatePem: string;
  keyPem: string;
}

/** A root that can sign: what certificates made from it need to say of it. */
export interface Signer {
  certificate: x509.X509Certificate;
  key: crypto.CryptoKey;
  algorithm: x509.X509CertificateCreateParams['signingAlgorithm'];
}

/** The curves of roots, with the digest that goes with each. */
const CURVES: Readonly<Record<string, { namedCurve: string; hash: string }>> = {
  prime256v1: { namedCurve: 'P-256', hash: 'SHA-256' },
  secp384r1: { namedCurve: 'P-384', hash: 'SHA-384' },
  secp521r1: { namedCurve: 'P-521', hash: 'SHA-512' },
};
/** The shortest RSA key of a root, in bits. */
const MIN_RSA_BITS = 2048;

interface KeyAlgorithm {
  importAs: crypto.EcKeyImportParams | crypto.RsaHashedImportParams;
  signWith: Signer['algorithm'];
}

/** Why a key cannot be a root's; `undefined` when it can. */
export function keyProblem(key: KeyObject): string | undefined {
  return algorithmOf(key) === undefined
    ? 'it must be ECDSA (P-256, P-384 or P-521) or RSA of at least 2048 bits'
    : undefined;
}

/** The root as a signer. Throws when its key is of a kind that {@link keyProblem} names. */
export async function signerOf({ certificatePem, keyPem }: CertificateAndKey): Promise<Signer> {
  const key = createPrivateKey(keyPem);
  const algorithm = algorithmOf(key);
  if (algorithm === undefined) throw new Error(`the root’s key cannot sign: ${keyProblem(key)}`);
  const der = key.export({ type: 'pkcs8', format: 'der' });
  return {
    certificate: new x509.X509Certificate(certificatePem),
    key: await webcrypto.subtle.importKey('pkcs8', der, algorithm.importAs, false, ['sign']),
    algorithm: algorithm.signWith,
  };
}

/** Names the signer's key as its own certificate names it: verifiers refuse a chain in which the two differ. */
export async function authorityKeyIdentifier({ certificate }: Signer): Promise<x509.Extension> {
  const own = certificate.getExtension(x509.SubjectKeyIdentifierExtension);
  if (own === null) return x509.AuthorityKeyIdentifierExtension.create(certificate.publicKey, false, webcrypto);
  const keyId = Buffer.from(own.keyId, 'hex');
  // SEQUENCE { [0] keyIdentifier }: identifiers are digests, far shorter than what needs a longer length.
  const der = Buffer.concat([Buffer.from([0x30, keyId.length + 2, 0x80, keyId.length]), keyId]);
  return new x509.Extension('2.5.29.35', false, der);
}

function algorithmOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): KeyAlgorithm | undefined {
  if (asymmetricKeyType === 'rsa') {
    if ((asymmetricKeyDetails?.modulusLength ?? 0) < MIN_RSA_BITS) return undefined;
    const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
    return { importAs: rsa, signWith: rsa };
  }
  const curve = CURVES[asymmetricKeyDetails?.namedCurve ?? ''];
  if (asymmetricKeyType !== 'ec' || curve === undefined) return undefined;
  const { namedCurve, hash } = curve;
  return { importAs: { name: 'ECDSA', namedCurve }, signWith: { name: 'ECDSA', hash } };
}
