import type { Client } from '../client/client.js';
import { listData, listNetworks, listNodes, listServices, STACK_LABEL } from '../client/resources.js';
import type { CommandTree } from '../commands/tree.js';
import { findCommand } from '../commands/tree.js';
import type { ArgumentKind, Command } from '../program/command.js';
import { FILES } from './scripts.js';

/** A word to offer and what it means. */
export interface Candidate {
  readonly word: string;
  readonly about: string;
}

/** Names of objects of a kind, asked of the daemon. */
export type NameSource = (kind: 'service' | 'node' | 'secret' | 'config' | 'network' | 'stack') => Promise<string[]>;

/**
 * What a shell offers for the last of `words` (the rest of the command line after the program's name): commands, flags,
 * values of flags, names of objects; or `FILES`.
 */
export async function complete(
  tree: CommandTree,
  words: readonly string[],
  names: NameSource,
): Promise<readonly Candidate[] | typeof FILES> {
  const current = words.at(-1) ?? '';
  const before = withoutGlobalFlags(words.slice(0, -1));
  const found = findCommand(tree, before);
  if (found.kind === 'none') {
    if (found.unknown !== undefined) return [];
    const offered = found.group === undefined ? [...tree.commands, ...tree.groups] : found.group.commands;
    return matching(
      offered.map(({ name, summary }) => ({ word: name, about: summary })),
      current,
    );
  }
  const { command, rest } = found;
  const flag = rest.at(-1)?.startsWith('--') ? command.flags[rest.at(-1)!.slice(2)] : undefined;
  if (flag !== undefined && flag.typeName !== '') {
    if (flag.words === undefined) return FILES;
    return matching(
      flag.words.map((word) => ({ word, about: '' })),
      current,
    );
  }
  if (current.startsWith('-')) return matching(flagCandidates(command), current);
  return argumentCandidates(command.argument, current, names);
}

function withoutGlobalFlags(words: readonly string[]): readonly string[] {
  if (words[0] === '-H' || words[0] === '--host') return words.slice(2);
  return words[0]?.startsWith('--host=') ? words.slice(1) : words;
}

function matching(candidates: readonly Candidate[], current: string): Candidate[] {
  return candidates.filter(({ word }) => word.startsWith(current));
}

function flagCandidates({ flags }: Command): Candidate[] {
  return [
    ...Object.entries(flags).map(([name, { usage }]) => ({ word: `--${name}`, about: usage.split('\n')[0]! })),
    { word: '--help', about: 'Show help' },
  ];
}

async function argumentCandidates(
  kind: ArgumentKind | undefined,
  current: string,
  names: NameSource,
): Promise<readonly Candidate[] | typeof FILES> {
  if (kind === undefined) return [];
  if (kind === 'file') return FILES;
  const words = typeof kind === 'string' ? await names(kind) : kind;
  return matching(
    words.map((word) => ({ word, about: '' })),
    current,
  );
}

/** Asks the daemon for names; where it does not answer there are none to offer. */
export function daemonNames(client: Client): NameSource {
  const ask: NameSource = async (kind) => {
    switch (kind) {
      case 'service':
        return (await listServices(client, {})).map(({ Spec }) => Spec.Name ?? '');
      case 'node':
        return (await listNodes(client)).map(({ ID, Description }) => Description.Hostname ?? ID);
      case 'network':
        return (await listNetworks(client, {})).map(({ Name }) => Name);
      case 'stack': {
        const services = await listServices(client, { label: [STACK_LABEL] });
        return [...new Set(services.map(({ Spec }) => Spec.Labels?.[STACK_LABEL] ?? ''))];
      }
      default:
        return (await listData(client, `${kind}s`, {})).map(({ Spec }) => Spec.Name);
    }
  };
  return (kind) => ask(kind).catch(() => []);
}
