import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiCluster, ApiNode } from '../../client/api-types.js';
import { getCluster, listNodes } from '../../client/resources.js';
import { type Command, type CommandContext, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { bool, duration, text } from '../../program/flag-types.js';
import { ProgressDisplay } from '../../progress/display.js';
import { POLL_MS, untilInterrupted } from '../../progress/follow.js';
import type { ProgressLine } from '../../progress/service-progress.js';
import { postClusterUpdate } from './update.js';

const ROTATION_FLAGS = ['ca-cert', 'ca-key', 'cert-expiry'] as const;
/** Nodes that a progress line names. */
const NAMED_NODES = 5;

/** `ca`, `swarm ca`. */
export const swarmCa: Command = command({
  name: 'ca',
  summary: 'Display and rotate the root CA',
  flags: {
    'ca-cert': text('Path to the PEM-formatted root CA certificate to use for the new cluster', {
      typeName: 'pem-file',
    }),
    'ca-key': text('Path to the PEM-formatted root CA key to use for the new cluster', { typeName: 'pem-file' }),
    'cert-expiry': duration('Validity period for node certificates (ns|us|ms|s|m|h)', { defaultText: '2160h0m0s' }),
    detach: bool('Exit immediately instead of waiting for the root rotation to converge', { short: 'd' }),
    quiet: bool('Suppress progress output', { short: 'q' }),
    rotate: bool('Rotate the swarm CA - if no certificate or key are provided, new ones will be generated'),
  },
  async run(context, { flags, given }) {
    const { client, directory } = context;
    const cluster = await getCluster(client);
    if (!flags.rotate) {
      const stray = ROTATION_FLAGS.find((name) => given.has(name));
      if (stray !== undefined) {
        throw new CommandError(`\`--${stray}\` flag requires the \`--rotate\` flag to update the CA`);
      }
      printTrustRoot(context, cluster);
      return 0;
    }
    const [SigningCACert, SigningCAKey] = [
      await readPem(directory, flags['ca-cert']),
      await readPem(directory, flags['ca-key']),
    ];
    if (SigningCACert !== '' && SigningCAKey === '') {
      throw new CommandError('the --ca-cert flag requires that a --ca-key flag be provided as well');
    }
    const { Spec } = cluster;
    const CAConfig = {
      ...Spec.CAConfig,
      ...(given.has('cert-expiry') ? { NodeCertExpiry: flags['cert-expiry'] ?? 0 } : {}),
      ...(SigningCACert === '' && SigningCAKey === ''
        ? { ForceRotate: (Spec.CAConfig?.ForceRotate ?? 0) + 1 }
        : { SigningCACert, SigningCAKey }),
    };
    await postClusterUpdate(client, cluster, { ...Spec, CAConfig });
    if (flags.detach) return 0;
    const code = await untilInterrupted(context, () => followRotation(context, flags.quiet), 'swarmctl node ls');
    if (code === 0 && !flags.quiet) printTrustRoot(context, await getCluster(client));
    return code;
  },
});

async function readPem(directory: string, file: string | undefined): Promise<string> {
  if (file === undefined || file === '') return '';
  try {
    return await readFile(path.resolve(directory, file), 'utf8');
  } catch (thrown) {
    throw new CommandError(`cannot read ${file}: ${(thrown as Error).message}`);
  }
}

function printTrustRoot({ out }: Pick<CommandContext, 'out'>, { TLSInfo }: ApiCluster): void {
  if (!TLSInfo?.TrustRoot) throw new CommandError('No CA information available');
  out.write(`${TLSInfo.TrustRoot.trim()}\n`);
}

async function followRotation({ client, signal, out }: CommandContext, quiet: boolean): Promise<void> {
  const display = quiet ? undefined : new ProgressDisplay(out);
  for (;;) {
    const cluster = await getCluster(client);
    const { lines, done } = rotationProgress(cluster, await listNodes(client, {}, signal));
    display?.show(lines);
    if (done) return;
    await sleep(POLL_MS, undefined, { signal });
  }
}

/**
 * How far a rotation is, by the docker CLI's rule: every node's certificate comes from the desired issuer, the rotation
 * is over, and then every node trusts the new root alone. Names nodes that are waited for and not reachable.
 */
export function rotationProgress(
  { TLSInfo = {}, RootRotationInProgress = false }: Pick<ApiCluster, 'TLSInfo' | 'RootRotationInProgress'>,
  nodes: readonly ApiNode[],
): { lines: ProgressLine[]; done: boolean } {
  const renewed = (node: ApiNode): boolean => {
    const tls = node.Description.TLSInfo ?? {};
    const { CertIssuerPublicKey, CertIssuerSubject } = TLSInfo;
    return tls.CertIssuerPublicKey === CertIssuerPublicKey && tls.CertIssuerSubject === CertIssuerSubject;
  };
  const certificates = nodes.filter(renewed).length;
  const over = certificates === nodes.length && !RootRotationInProgress;
  const trusting = nodes.filter(({ Description }) => Description.TLSInfo?.TrustRoot === TLSInfo.TrustRoot).length;
  const roots = over ? trusting : 0;
  const missing = nodes.filter((node) => !renewed(node) && node.Status.State !== 'ready');
  const names = missing.slice(0, NAMED_NODES).map(({ ID, Description }) => Description.Hostname || ID);
  const more = missing.length > NAMED_NODES ? ` and ${missing.length - NAMED_NODES} more` : '';
  const digest = createHash('sha256')
    .update(TLSInfo.TrustRoot ?? '')
    .digest('hex');
  const count = (id: string, done: number): ProgressLine => {
    const fraction = nodes.length === 0 ? 0 : done / nodes.length;
    return { id, text: `${done}/${nodes.length} nodes`, fraction };
  };
  return {
    lines: [
      { id: 'desired root digest', text: `sha256:${digest}` },
      count('rotated TLS certificates', certificates),
      count('rotated CA certificates', roots),
      ...(missing.length > 0 ? [{ id: 'waiting for', text: `${names.join(', ')}${more} (not reachable)` }] : []),
    ],
    done: over && roots === nodes.length,
  };
}
