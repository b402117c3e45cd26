import type { EtcdClusterMember } from '../admin/admin.js';
import { httpsGet } from '../admin/https-get.js';
import type { EtcdTls } from '../process/key-directory.js';

/** The members among `members` whose peer port answers, by ID, with their versions. */
export async function reachablePeers(
  members: readonly EtcdClusterMember[],
  tls: EtcdTls,
  signal: AbortSignal,
): Promise<Map<string, string>> {
  const answers = await Promise.all(
    members.map(async ({ id, peerUrls }) => {
      const versions = await Promise.all(peerUrls.map((url) => peerVersion(url, tls, signal)));
      return [id, versions.find((version) => version !== undefined)] as const;
    }),
  );
  return new Map(answers.filter((answer): answer is [string, string] => answer[1] !== undefined));
}

/** What a peer port says of itself; client ports are on loopback, so that of other hosts there is no more to see. */
async function peerVersion(peerUrl: string, tls: EtcdTls, signal: AbortSignal): Promise<string | undefined> {
  try {
    return /"etcdserver":"([^"]+)"/.exec(await httpsGet(new URL('/version', peerUrl), tls, signal))?.[1];
  } catch {
    return undefined;
  }
}
