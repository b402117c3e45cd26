import { isDeepStrictEqual } from 'node:util';
import { certificateStage, isStandby } from '@swarmd/model';
import type { FormatRow } from '@swarmd/template';
import type { ApiInfo, ApiNode } from '../../client/api-types.js';
import { getInfo, listNodes } from '../../client/resources.js';
import {
  filterFlag,
  formatFlag,
  type ListLayout,
  parseFilters,
  prettyPrint,
  printList,
  quietFlag,
} from '../../output/list.js';
import { type Command, command } from '../../program/command.js';
import { naturalCompare } from '../../text/natural-order.js';

const NODE_LAYOUT: ListLayout = {
  headers: {
    ID: 'ID',
    Self: '',
    Hostname: 'HOSTNAME',
    Status: 'STATUS',
    Availability: 'AVAILABILITY',
    ManagerStatus: 'MANAGER STATUS',
    EngineVersion: 'ENGINE VERSION',
    TLSStatus: 'TLS STATUS',
    SwarmdVersion: 'SWARMD VERSION',
    CertificateExpiry: 'CERTIFICATE EXPIRY',
  },
  table:
    '{{.ID}} {{if .Self}}*{{else}} {{ end }}\t{{.Hostname}}\t{{.Status}}\t{{.Availability}}\t{{.ManagerStatus}}\t{{.EngineVersion}}',
};

/** `node ls`. */
export const nodeLs: Command = command({
  name: 'ls',
  aliases: ['list'],
  summary: 'List nodes in the swarm',
  flags: { filter: filterFlag, format: formatFlag, quiet: quietFlag },
  async run(context, { flags }) {
    const nodes = await listNodes(context.client, parseFilters(flags.filter));
    const info = nodes.length > 0 && !flags.quiet ? (await getInfo(context.client)).Swarm : {};
    printList(context, layoutFor(nodes, context.now()), nodeRows(nodes, info), flags);
  },
});

/**
 * The docker CLI's table, with one column more while nodes run different versions of swarmd, and one when a certificate
 * runs out that should have been renewed.
 */
function layoutFor(nodes: readonly ApiNode[], nowMs: number): ListLayout {
  const soon = nodes.some(({ Certificate }) => Certificate && certificateStage(Certificate, nowMs).stage !== 'fresh');
  const mixed = new Set(nodes.map(({ SwarmdVersion }) => SwarmdVersion)).size > 1;
  const more = [...(mixed ? ['SwarmdVersion'] : []), ...(soon ? ['CertificateExpiry'] : [])];
  return { ...NODE_LAYOUT, table: [NODE_LAYOUT.table, ...more.map((column) => `{{.${column}}}`)].join('\t') };
}

/** Rows of nodes, sorted by host name; `info` is the `Swarm` part of `/info`. */
export function nodeRows(nodes: readonly ApiNode[], info: ApiInfo['Swarm']): FormatRow[] {
  return nodes
    .toSorted((a, b) => naturalCompare(a.Description.Hostname ?? '', b.Description.Hostname ?? ''))
    .map((node) => ({
      ID: node.ID,
      Self: node.ID === info.NodeID,
      Hostname: node.Description.Hostname ?? '',
      Status: prettyPrint(node.Status.State),
      Availability: prettyPrint(node.Spec.Availability),
      ManagerStatus: prettyPrint(managerStatus(node)),
      TLSStatus: tlsStatus(node, info),
      EngineVersion: node.Description.Engine?.EngineVersion ?? '',
      SwarmdVersion: node.SwarmdVersion ?? '',
      CertificateExpiry: node.Certificate?.NotAfter ?? '',
    }));
}

function tlsStatus(node: ApiNode, { Cluster }: ApiInfo['Swarm']): string {
  const ofCluster = Cluster?.TLSInfo ?? {};
  const ofNode = node.Description.TLSInfo ?? {};
  if (Object.keys(ofCluster).length === 0 || Object.keys(ofNode).length === 0) return 'Unknown';
  return isDeepStrictEqual(ofCluster, ofNode) ? 'Ready' : 'Needs Rotation';
}

/** A standby that is there has another word than Docker's for a manager. */
function managerStatus({ Spec, ManagerStatus }: ApiNode): string | undefined {
  if (ManagerStatus?.Leader === true) return 'leader';
  return ManagerStatus?.Reachability === 'reachable' && isStandby({ Spec }) ? 'standby' : ManagerStatus?.Reachability;
}
