import type { NodeSpec } from '@swarmd/model';
import { objectPath } from '../../client/client.js';
import { getInfo, getNode } from '../../client/resources.js';
import { forEachRef } from '../../output/each.js';
import { type Command, type CommandContext, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { bool, list, text } from '../../program/flag-types.js';
import { splitPair } from '../service/spec/draft.js';
import { checkAvailability } from '../swarm/membership.js';

const ROLES = ['worker', 'manager'] as const;

/** Reads a node, changes its spec and sends it back; `changed` is false when the change left the spec alone. */
async function editNode(
  context: CommandContext,
  ref: string,
  edit: (spec: NodeSpec) => NodeSpec,
): Promise<{ id: string; changed: boolean }> {
  const node = await getNode(context.client, ref);
  const spec = edit(node.Spec);
  if (spec === node.Spec) return { id: node.ID, changed: false };
  await context.client.post(objectPath('nodes', node.ID, 'update'), {
    query: { version: node.Version.Index },
    body: spec,
  });
  return { id: node.ID, changed: true };
}

/** What `node update` changes in a spec. Throws CommandError for unknown words and for labels that are not there. */
export function editNodeSpec(
  spec: NodeSpec,
  change: {
    availability?: string | undefined;
    role?: string | undefined;
    labelAdd: readonly string[];
    labelRm: readonly string[];
  },
): NodeSpec {
  const labels = { ...spec.Labels };
  for (const label of change.labelAdd) {
    const [key, value] = splitPair(label);
    labels[key] = value;
  }
  for (const key of change.labelRm) {
    if (!Object.hasOwn(labels, key)) throw new CommandError(`key ${key} doesn't exist in node's labels`);
    delete labels[key];
  }
  return {
    ...spec,
    Labels: labels,
    ...(change.role === undefined ? {} : { Role: checkRole(change.role) }),
    ...(change.availability === undefined ? {} : { Availability: checkAvailability(change.availability) }),
  };
}

function checkRole(value: string): (typeof ROLES)[number] {
  const role = ROLES.find((word) => word === value.toLowerCase());
  if (role === undefined)
    throw new CommandError(`invalid role ${JSON.stringify(value)}, only worker and manager are supported`);
  return role;
}

/** `node update`. */
export const nodeUpdate: Command = command({
  name: 'update',
  summary: 'Update a node',
  synopsis: 'NODE',
  arity: 1,
  argument: 'node',
  flags: {
    availability: text('Availability of the node ("active", "pause", "drain")', {
      words: ['active', 'pause', 'drain'],
    }),
    'label-add': list('Add or update a node label ("key=value")'),
    'label-rm': list('Remove a node label if exists'),
    role: text('Role of the node ("worker", "manager")', { words: ROLES }),
  },
  async run(context, { flags, args }) {
    const { availability, role, 'label-add': labelAdd, 'label-rm': labelRm } = flags;
    await editNode(context, args[0]!, (spec) => editNodeSpec(spec, { availability, role, labelAdd, labelRm }));
    context.out.write(`${args[0]}\n`);
  },
});

/** `node promote`. */
export const nodePromote: Command = roleCommand('promote', 'manager', {
  summary: 'Promote one or more nodes to manager in the swarm',
  done: (ref) => `Node ${ref} promoted to a manager in the swarm.`,
  already: (ref) => `Node ${ref} is already a manager.`,
});

/** `node demote`. */
export const nodeDemote: Command = roleCommand('demote', 'worker', {
  summary: 'Demote one or more nodes from manager in the swarm',
  done: (ref) => `Manager ${ref} demoted in the swarm.`,
  already: (ref) => `Node ${ref} is already a worker.`,
});

function roleCommand(
  name: string,
  Role: (typeof ROLES)[number],
  words: { summary: string; done: (ref: string) => string; already: (ref: string) => string },
): Command {
  return command({
    name,
    summary: words.summary,
    synopsis: 'NODE [NODE...]',
    arity: { min: 1 },
    argument: 'node',
    async run(context, { args }) {
      for (const ref of args) {
        const { id, changed } = await editNode(context, ref, (spec) => (spec.Role === Role ? spec : { ...spec, Role }));
        if (changed) context.out.write(`${words.done(id)}\n`);
        else context.err.write(`${words.already(id)}\n`);
      }
      const { Warnings } = (await getInfo(context.client)).Swarm;
      const two = Warnings?.find((warning) => warning.startsWith('There are two managers'));
      if (two !== undefined) context.err.write(`WARNING: ${two}\n`);
    },
  });
}

/** `node rm`. */
export const nodeRm: Command = command({
  name: 'rm',
  aliases: ['remove'],
  summary: 'Remove one or more nodes from the swarm',
  synopsis: 'NODE [NODE...]',
  arity: { min: 1 },
  argument: 'node',
  flags: { force: bool('Force remove a node from the swarm', { short: 'f' }) },
  async run(context, { flags, args }) {
    await forEachRef(context, args, async (ref) => {
      await context.client.delete(objectPath('nodes', ref), { query: { force: flags.force ? 1 : undefined } });
      return ref;
    });
  },
});
