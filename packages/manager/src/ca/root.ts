import 'reflect-metadata';
import { createPrivateKey, webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { type Random, SwarmdError } from '@swarmd/model';
import { serialNumber, withNewline } from './certificate.js';
import { authorityKeyIdentifier, type CertificateAndKey, keyProblem, signerOf } from './signer.js';

/** A root must live this long yet: swarmkit's year, so that nobody has to rotate again at once. */
const MIN_ROOT_LIFE_MS = 365 * 24 * 3_600_000;

const CERTIFICATE = 'CAConfig.SigningCACert';
const KEY = 'CAConfig.SigningCAKey';

/**
 * A root that a user brings, in the form that the cluster keeps. `invalid-argument` naming the field when it is not one
 * self-signed CA certificate that lives another year, or the key is not its own.
 */
export function parseRootCa(given: CertificateAndKey, nowMs: number): CertificateAndKey {
  const certificate = readCertificate(given.certificatePem);
  const parsed = new x509.X509Certificate(certificate.raw);
  const constraints = parsed.getExtension(x509.BasicConstraintsExtension);
  if (!constraints?.ca) throw refused('it is not a CA’s: its basic constraints do not say CA:TRUE', CERTIFICATE);
  if (constraints.pathLength === 0) {
    throw refused('its path length is 0: the cluster could never rotate away from it', CERTIFICATE);
  }
  const usages = parsed.getExtension(x509.KeyUsagesExtension)?.usages;
  if (usages !== undefined && (usages & x509.KeyUsageFlags.keyCertSign) === 0) {
    throw refused('its key usage does not allow it to sign certificates', CERTIFICATE);
  }
  if (!certificate.checkIssued(certificate) || !certificate.verify(certificate.publicKey)) {
    throw refused('it is not self-signed: a root is needed, not an intermediate', CERTIFICATE);
  }
  checkDates(certificate, nowMs);
  const badKey = keyProblem(certificate.publicKey);
  if (badKey !== undefined) throw refused(`its key cannot be used: ${badKey}`, CERTIFICATE);
  return { certificatePem: withNewline(certificate.toString()), keyPem: readKey(given.keyPem, certificate) };
}

/** Whether two PEM texts are the same certificate. */
export function isSameCertificate(a: string, b: string): boolean {
  return new X509Certificate(a).fingerprint256 === new X509Certificate(b).fingerprint256;
}

/**
 * The name and key of `next`, certified by `old`: who trusts `old` alone accepts what `next` issues when it comes with
 * this. Valid no longer than either.
 */
export async function crossSign(old: CertificateAndKey, nextPem: string, random: Random): Promise<string> {
  const signer = await signerOf(old);
  const next = new x509.X509Certificate(nextPem);
  const keyId = next.getExtension(x509.SubjectKeyIdentifierExtension);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serialNumber(random),
      issuer: signer.certificate.subjectName,
      subject: next.subjectName,
      notBefore: new Date(Math.max(next.notBefore.getTime(), signer.certificate.notBefore.getTime())),
      notAfter: new Date(Math.min(next.notAfter.getTime(), signer.certificate.notAfter.getTime())),
      publicKey: next.publicKey,
      signingKey: signer.key,
      signingAlgorithm: signer.algorithm,
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        new x509.BasicConstraintsExtension(true, undefined, true),
        keyId ?? (await x509.SubjectKeyIdentifierExtension.create(next.publicKey, false, webcrypto)),
        await authorityKeyIdentifier(signer),
      ],
    },
    webcrypto,
  );
  return withNewline(certificate.toString('pem'));
}

function readCertificate(pem: string): X509Certificate {
  const blocks = pem.match(/-----BEGIN [A-Z0-9 ]+-----/g) ?? [];
  if (blocks.length > 1) throw refused('it must be one certificate alone', CERTIFICATE);
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw refused(`it cannot be read as a PEM certificate: ${(cause as Error).message}`, CERTIFICATE);
  }
}

function checkDates({ validFrom, validTo }: X509Certificate, nowMs: number): void {
  const until = new Date(validTo).toISOString();
  if (Date.parse(validFrom) > nowMs) {
    throw refused(`it is not valid before ${new Date(validFrom).toISOString()}`, CERTIFICATE);
  }
  if (Date.parse(validTo) <= nowMs) throw refused(`it has expired, on ${until}`, CERTIFICATE);
  if (Date.parse(validTo) < nowMs + MIN_ROOT_LIFE_MS) {
    throw refused(`CA certificate expires too soon: on ${until}, at least a year is needed`, CERTIFICATE);
  }
}

function readKey(pem: string, certificate: X509Certificate): string {
  let key: ReturnType<typeof createPrivateKey>;
  try {
    key = createPrivateKey(pem);
  } catch {
    // OpenSSL's words differ by version and do not help; the key itself must not be repeated.
    throw refused('it cannot be read as a PEM private key without a passphrase', KEY);
  }
  if (!certificate.checkPrivateKey(key)) throw refused('it is not the key of the certificate', KEY);
  return withNewline(key.export({ type: 'pkcs8', format: 'pem' }).toString());
}

function refused(why: string, field: string): SwarmdError {
  const what = field === KEY ? 'the key of the new root CA' : 'the new root CA certificate';
  return new SwarmdError('invalid-argument', `${what} cannot be used: ${why}`, { rpc: true, field });
}
