import { completion } from '../completion/scripts.js';
import type { Command, Group } from '../program/command.js';
import { backupCreate } from './backup/create.js';
import { backupRestore } from './backup/restore.js';
import { backupVerify } from './backup/verify.js';
import { clusterCheck } from './cluster/check.js';
import { clusterFind, clusterRecover } from './cluster/recover.js';
import { dataCommands } from './data/commands.js';
import { doctor } from './net/doctor.js';
import { netTrace } from './net/trace.js';
import { networkCreate, networkInspect, networkLs, networkRm } from './network/commands.js';
import { nodeCleanup } from './node/cleanup.js';
import { nodeDemote, nodePromote, nodeRm, nodeUpdate } from './node/edit.js';
import { nodeInspect } from './node/inspect.js';
import { nodeLs } from './node/ls.js';
import { nodePs } from './node/ps.js';
import { serviceCreate } from './service/create.js';
import { serviceEndpoints } from './service/endpoints.js';
import { serviceInspect } from './service/inspect.js';
import { serviceLogs } from './service/logs.js';
import { serviceLs } from './service/ls.js';
import { servicePs } from './service/ps.js';
import { serviceRm } from './service/rm.js';
import { serviceScale } from './service/scale.js';
import { serviceRollback, serviceUpdate } from './service/update.js';
import { why } from './service/why.js';
import { stackDeploy } from './stack/deploy.js';
import { stackLs, stackPs, stackServices } from './stack/list.js';
import { stackRm } from './stack/rm.js';
import { swarmCa } from './swarm/ca.js';
import { swarmInit, swarmJoin, swarmJoinToken, swarmLeave } from './swarm/membership.js';
import { swarmUnlock, swarmUnlockKey } from './swarm/unlock.js';
import { swarmUpdate } from './swarm/update.js';
import { info } from './system/info.js';
import { version } from './system/version.js';
import { exportCommand } from './transfer/export.js';
import { diffCommand, importCommand } from './transfer/import.js';

/** All commands: those that stand alone, and those under a word. */
export interface CommandTree {
  readonly commands: readonly Command[];
  readonly groups: readonly Group[];
}

/** The program's commands. */
export function commandTree(): CommandTree {
  return {
    commands: [
      swarmCa,
      swarmInit,
      swarmJoin,
      swarmJoinToken,
      swarmLeave,
      swarmUnlock,
      swarmUnlockKey,
      swarmUpdate,
      importCommand,
      exportCommand,
      diffCommand,
      why,
      doctor,
      info,
      version,
      completion,
    ],
    groups: [
      {
        name: 'backup',
        summary: 'Back up and restore the cluster',
        commands: [backupCreate, backupRestore, backupVerify],
      },
      {
        name: 'cluster',
        summary: 'Look after the managers',
        commands: [clusterCheck, clusterFind, clusterRecover],
      },
      { name: 'config', summary: 'Manage Swarm configs', commands: dataCommands('config') },
      { name: 'net', summary: 'Look into the networks of the cluster', commands: [netTrace] },
      {
        name: 'network',
        summary: 'Manage networks',
        commands: [networkCreate, networkInspect, networkLs, networkRm],
      },
      {
        name: 'node',
        summary: 'Manage Swarm nodes',
        commands: [nodeCleanup, nodeDemote, nodeInspect, nodeLs, nodePromote, nodePs, nodeRm, nodeUpdate],
      },
      { name: 'secret', summary: 'Manage Swarm secrets', commands: dataCommands('secret') },
      {
        name: 'service',
        summary: 'Manage Swarm services',
        commands: [
          serviceCreate,
          serviceEndpoints,
          serviceInspect,
          serviceLogs,
          serviceLs,
          servicePs,
          serviceRm,
          serviceRollback,
          serviceScale,
          serviceUpdate,
        ],
      },
      {
        name: 'stack',
        summary: 'Manage Swarm stacks',
        commands: [stackDeploy, stackLs, stackPs, stackRm, stackServices],
      },
      {
        name: 'swarm',
        summary: 'Manage Swarm',
        commands: [swarmCa, swarmInit, swarmJoin, swarmJoinToken, swarmLeave, swarmUnlock, swarmUnlockKey, swarmUpdate],
      },
    ],
  };
}

/** What a command line's words lead to: a command and the rest of the words, or a place in the tree without a command. */
export type FoundCommand =
  | { kind: 'command'; command: Command; path: readonly string[]; rest: readonly string[] }
  | { kind: 'none'; path: readonly string[]; group: Group | undefined; unknown: string | undefined };

/** Follows words into the tree; aliases count, words that look like flags do not. */
export function findCommand(tree: CommandTree, words: readonly string[]): FoundCommand {
  const [first, second] = words;
  const isWord = (word: string | undefined): word is string => word !== undefined && !word.startsWith('-');
  if (!isWord(first)) return { kind: 'none', path: [], group: undefined, unknown: undefined };
  const alone = named(tree.commands, first);
  if (alone !== undefined) return { kind: 'command', command: alone, path: [alone.name], rest: words.slice(1) };
  const group = tree.groups.find(({ name }) => name === first);
  if (group === undefined) return { kind: 'none', path: [], group: undefined, unknown: first };
  if (!isWord(second)) return { kind: 'none', path: [group.name], group, unknown: undefined };
  const found = named(group.commands, second);
  if (found === undefined) return { kind: 'none', path: [group.name], group, unknown: second };
  return { kind: 'command', command: found, path: [group.name, found.name], rest: words.slice(2) };
}

function named(commands: readonly Command[], word: string): Command | undefined {
  return commands.find(({ name, aliases }) => name === word || aliases.includes(word));
}
