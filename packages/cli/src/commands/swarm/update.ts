import type { ClusterSpec } from '@swarmd/model';
import type { ApiCluster } from '../../client/api-types.js';
import type { Client } from '../../client/client.js';
import { getCluster, getUnlockKey } from '../../client/resources.js';
import { type Command, command } from '../../program/command.js';
import { bool } from '../../program/flag-types.js';
import { commandHelp } from '../../program/usage.js';
import { CLUSTER_FLAGS, editClusterSpec } from './cluster-flags.js';
import { unlockAdvice } from './unlock-advice.js';

/** What `/swarm/update` rotates besides taking the new spec. */
export interface Rotations {
  rotateWorkerToken?: boolean;
  rotateManagerToken?: boolean;
  rotateManagerUnlockKey?: boolean;
}

/** Sends the cluster's spec back against the version that was read. */
export async function postClusterUpdate(
  client: Client,
  cluster: ApiCluster,
  spec: ClusterSpec,
  rotations: Rotations = {},
): Promise<void> {
  const { rotateWorkerToken = false, rotateManagerToken = false, rotateManagerUnlockKey = false } = rotations;
  await client.post('/swarm/update', {
    query: { version: cluster.Version.Index, rotateWorkerToken, rotateManagerToken, rotateManagerUnlockKey },
    body: spec,
  });
}

/** `swarm update`. */
export const swarmUpdate: Command = command({
  name: 'update',
  summary: 'Update the swarm',
  flags: { ...CLUSTER_FLAGS, autolock: bool('Change manager autolocking setting (true|false)') },
  async run(context, invocation) {
    if (invocation.given.size === 0) {
      context.out.write(commandHelp('swarmctl swarm update', swarmUpdate, context.out.columns));
      return;
    }
    const cluster = await getCluster(context.client);
    await postClusterUpdate(context.client, cluster, editClusterSpec(cluster.Spec, invocation));
    context.out.write('Swarm updated.\n');
    if (cluster.Spec.EncryptionConfig?.AutoLockManagers === true || invocation.flags.autolock !== true) return;
    context.out.write(unlockAdvice(await getUnlockKey(context.client)));
  },
});
