import { DEFAULTS, isErrorCode, type NodeDescription, SwarmdError } from '@swarmd/model';
import {
  CertificateAuthorityClient,
  callUnary,
  clientArguments,
  createAnonymousChannel,
  createChannel,
  createIdentityHolder,
  type Identity,
  type IssueCertificateRequest,
  parseIdentity,
} from '@swarmd/wire';
import { createKeyAndCsr } from './certificate.js';
import { digestOfToken, rootDigest } from './join-token.js';

/** How long one manager may take over one call. */
const CALL_TIMEOUT_MS = 10_000;

/** What a joining node asks for. */
export interface JoinOptions {
  /** Managers to try, in order: `host[:port]`, port 2377 unless given. */
  remoteAddrs: readonly string[];
  token: string;
  availability?: 'active' | 'pause' | 'drain';
  advertiseAddr: string;
  /** So that the node is listed by its name at once. */
  description?: NodeDescription;
  /** Why this node cannot be a manager, for a token that would make it one. */
  noManagerReason?: string;
  /** Whether this node, as a manager, would use an etcd that somebody else runs. */
  externalStore?: boolean;
  signal: AbortSignal;
}

/**
 * Joins a cluster: fetches the root certificate without trusting the other end, checks its digest against the token,
 * and only then sends token and CSR over TLS verified with that root. The key never leaves this process.
 * Rejects with the manager's refusal, `permission-denied` when the root does not match the token (nothing was sent),
 * or `unavailable` when no manager could be reached.
 */
export async function requestCertificate(options: JoinOptions): Promise<Identity> {
  const digest = digestOfToken(options.token);
  return tryEach(options.remoteAddrs, options.signal, async (addr) => {
    const rootPem = await fetchRoot(addr, digest, options.signal);
    const channel = createAnonymousChannel(addr, { verify: true, rootPem });
    const request: Omit<IssueCertificateRequest, 'csrPem'> = {
      token: options.token,
      availability: options.availability ?? '',
      advertiseAddr: options.advertiseAddr,
      noManagerReason: options.noManagerReason ?? '',
      externalStore: options.externalStore ?? false,
      description: Buffer.from(options.description === undefined ? '' : JSON.stringify(options.description)),
    };
    try {
      return await issue(new CertificateAuthorityClient(...clientArguments(channel)), request, rootPem, options.signal);
    } finally {
      channel.close();
    }
  });
}

/** A new certificate and key for the holder of `identity`, whose role is the one the cluster now gives it. */
export function renewCertificate(options: {
  identity: Identity;
  remoteAddrs: readonly string[];
  signal: AbortSignal;
}): Promise<Identity> {
  return tryEach(options.remoteAddrs, options.signal, async (addr) => {
    const channel = createChannel(addr, createIdentityHolder(options.identity));
    try {
      const client = new CertificateAuthorityClient(...clientArguments(channel));
      const none = { token: '', availability: '', advertiseAddr: '', noManagerReason: '', externalStore: false };
      const request = { ...none, description: Buffer.alloc(0) };
      const renewed = await issue(client, request, options.identity.rootPem, options.signal);
      if (renewed.nodeId !== options.identity.nodeId || renewed.clusterId !== options.identity.clusterId) {
        throw new SwarmdError('internal', 'the manager answered with another node’s certificate');
      }
      return renewed;
    } finally {
      channel.close();
    }
  });
}

async function fetchRoot(addr: string, digest: string, signal: AbortSignal): Promise<string> {
  const channel = createAnonymousChannel(addr, { verify: false });
  try {
    const client = new CertificateAuthorityClient(...clientArguments(channel));
    const call = client.getRootCertificate.bind(client);
    const { certificatePem } = await callUnary(call, {}, { timeoutMs: CALL_TIMEOUT_MS, signal });
    if (rootDigest(certificatePem) !== digest) {
      throw new SwarmdError('permission-denied', `remote CA does not match fingerprint. Expected: ${digest}`);
    }
    return certificatePem.toString('utf8');
  } finally {
    channel.close();
  }
}

async function issue(
  client: CertificateAuthorityClient,
  request: Omit<IssueCertificateRequest, 'csrPem'>,
  rootPem: string,
  signal: AbortSignal,
): Promise<Identity> {
  const { keyPem, csrPem } = await createKeyAndCsr();
  const call = client.issueCertificate.bind(client);
  const full = { ...request, csrPem: Buffer.from(csrPem) };
  const response = await callUnary(call, full, { timeoutMs: CALL_TIMEOUT_MS, signal });
  // The manager has shown that it is one of a root already trusted: it may name others, as during a rotation.
  const trusted = response.rootCertificatePem.toString('utf8') || rootPem;
  return parseIdentity({ keyPem, certificatePem: response.certificatePem.toString('utf8'), rootPem: trusted });
}

async function tryEach<R>(
  addrs: readonly string[],
  signal: AbortSignal,
  attempt: (addr: string) => Promise<R>,
): Promise<R> {
  const problems: string[] = [];
  for (const addr of addrs) {
    try {
      return await attempt(withPort(addr));
    } catch (error) {
      if (signal.aborted || !isErrorCode(error, 'unavailable', 'deadline-exceeded', 'internal')) throw error;
      problems.push(`${addr}: ${error.message}`);
    }
  }
  const said = problems.length === 0 ? 'no manager’s address was given' : problems.join('; ');
  throw new SwarmdError('unavailable', `no manager could be reached: ${said}`);
}

function withPort(addr: string): string {
  if (/^\[.*\]$/.test(addr) || !addr.includes(':')) return `${addr}:${DEFAULTS.clusterPort}`;
  // A bare IPv6 address has several colons and no brackets.
  return addr.indexOf(':') === addr.lastIndexOf(':') || addr.startsWith('[')
    ? addr
    : `[${addr}]:${DEFAULTS.clusterPort}`;
}
