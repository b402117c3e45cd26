import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { FormatRow } from '@swarmd/template';
import type { ApiData } from '../../client/api-types.js';
import { objectPath } from '../../client/client.js';
import { listData } from '../../client/resources.js';
import { forEachRef } from '../../output/each.js';
import {
  filterFlag,
  formatFlag,
  inspectFormatFlag,
  type ListLayout,
  parseFilters,
  printList,
  quietFlag,
} from '../../output/list.js';
import { inspect, labelLines, prettyFlag, sortedPairs } from '../../output/pretty.js';
import { type Command, type CommandContext, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { list, text } from '../../program/flag-types.js';
import { humanDuration, prettyTime } from '../../text/durations.js';
import { naturalCompare } from '../../text/natural-order.js';
import { changePairs } from '../service/spec/draft.js';

/** Secrets and configs differ in little but their names. */
export type DataKind = 'secret' | 'config';

/** The commands of `secret` or `config`. */
export function dataCommands(kind: DataKind): Command[] {
  return [createCommand(kind), inspectCommand(kind), lsCommand(kind), rmCommand(kind)];
}

const title = (kind: DataKind): string => (kind === 'secret' ? 'Secret' : 'Config');

function createCommand(kind: DataKind): Command {
  const isSecret = kind === 'secret';
  return command({
    name: 'create',
    summary: `Create a ${kind} from a file or STDIN${isSecret ? ' as content' : ''}`,
    synopsis: isSecret ? 'SECRET [file|-]' : 'CONFIG file|-',
    arity: isSecret ? { min: 1, max: 2 } : 2,
    argument: 'file',
    flags: {
      ...(isSecret ? { driver: text('Secret driver', { short: 'd' }) } : {}),
      label: list(`${title(kind)} labels`, { short: 'l' }),
      'template-driver': text('Template driver'),
    },
    async run(context, { flags, args }) {
      const [Name, file] = args;
      const driver = 'driver' in flags ? flags.driver : undefined;
      const hasDriver = driver !== undefined && driver !== '';
      if (hasDriver && file !== undefined) throw new CommandError('When using secret driver secret data must be empty');
      if (!hasDriver && file === undefined)
        throw new CommandError('secret data must be given as a file, or - for STDIN');
      const templating = flags['template-driver'];
      const { ID } = await context.client.post<{ ID: string }>(`/${kind}s/create`, {
        body: {
          Name,
          Labels: changePairs({}, { added: flags.label, removed: [] }),
          ...(file === undefined ? {} : { Data: (await readData(context, file)).toString('base64') }),
          ...(hasDriver ? { Driver: { Name: driver } } : {}),
          ...(templating === undefined ? {} : { Templating: { Name: templating } }),
        },
      });
      context.out.write(`${ID}\n`);
    },
  });
}

async function readData({ stdin, directory }: CommandContext, file: string): Promise<Buffer> {
  try {
    return file === '-' ? await buffer(stdin) : await readFile(path.resolve(directory, file));
  } catch (thrown) {
    throw new CommandError(`error reading content from ${JSON.stringify(file)}: ${(thrown as Error).message}`);
  }
}

function inspectCommand(kind: DataKind): Command {
  const upper = kind.toUpperCase();
  return command({
    name: 'inspect',
    summary: `Display detailed information on one or more ${kind}s`,
    synopsis: `${upper} [${upper}...]`,
    arity: { min: 1 },
    argument: kind,
    flags: { format: inspectFormatFlag, pretty: prettyFlag },
    async run(context, { flags, args }) {
      const find = (ref: string): Promise<ApiData> => context.client.get(objectPath(`${kind}s`, ref));
      await inspect(context, args, flags, find, kind === 'secret' ? describeSecret : describeConfig);
    },
  });
}

function describeSecret({ ID, Spec, CreatedAt, UpdatedAt }: ApiData): string {
  return [
    `ID:              ${ID}`,
    `Name:              ${Spec.Name}`,
    ...labelLines('Labels:', Spec.Labels, ' - '),
    `Driver:            ${Spec.Driver?.Name ?? ''}`,
    `Created at:        ${prettyTime(CreatedAt)}`,
    `Updated at:        ${prettyTime(UpdatedAt)}`,
  ].join('\n');
}

function describeConfig({ ID, Spec, CreatedAt, UpdatedAt }: ApiData): string {
  return [
    `ID:\t\t\t${ID}`,
    `Name:\t\t\t${Spec.Name}`,
    ...labelLines('Labels:', Spec.Labels, ' - '),
    `Created at:            \t${prettyTime(CreatedAt)}`,
    `Updated at:            \t${prettyTime(UpdatedAt)}`,
    `Data:\n${Buffer.from(Spec.Data ?? '', 'base64').toString('utf8')}`,
  ].join('\n');
}

const HEADERS = { ID: 'ID', Name: 'NAME', CreatedAt: 'CREATED', UpdatedAt: 'UPDATED', Labels: 'LABELS' };
const SECRET_LAYOUT: ListLayout = {
  headers: { ...HEADERS, Driver: 'DRIVER' },
  table: '{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.CreatedAt}}\t{{.UpdatedAt}}',
};
const CONFIG_LAYOUT: ListLayout = { headers: HEADERS, table: '{{.ID}}\t{{.Name}}\t{{.CreatedAt}}\t{{.UpdatedAt}}' };

function lsCommand(kind: DataKind): Command {
  return command({
    name: 'ls',
    aliases: ['list'],
    summary: `List ${kind}s`,
    flags: { filter: filterFlag, format: formatFlag, quiet: quietFlag },
    async run(context, { flags }) {
      const found = await listData(context.client, `${kind}s`, parseFilters(flags.filter));
      const rows = found
        .toSorted((a, b) => naturalCompare(a.Spec.Name, b.Spec.Name))
        .map((object) => dataRow(kind, object, context.now()));
      printList(context, kind === 'secret' ? SECRET_LAYOUT : CONFIG_LAYOUT, rows, flags);
    },
  });
}

function dataRow(kind: DataKind, { ID, Spec, CreatedAt, UpdatedAt }: ApiData, now: number): FormatRow {
  const ago = (time: string): string => `${humanDuration(now - Date.parse(time))} ago`;
  return {
    ID,
    Name: Spec.Name,
    CreatedAt: ago(CreatedAt),
    UpdatedAt: ago(UpdatedAt),
    Labels: sortedPairs(Spec.Labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
    Label: (name: string) => Spec.Labels?.[name] ?? '',
    ...(kind === 'secret' ? { Driver: Spec.Driver?.Name ?? '' } : {}),
  };
}

function rmCommand(kind: DataKind): Command {
  const upper = kind.toUpperCase();
  return command({
    name: 'rm',
    aliases: ['remove'],
    summary: `Remove one or more ${kind}s`,
    synopsis: `${upper} [${upper}...]`,
    arity: { min: 1 },
    argument: kind,
    async run(context, { args }) {
      await forEachRef(context, args, async (ref) => {
        await context.client.delete(objectPath(`${kind}s`, ref));
        return ref;
      });
    },
  });
}
