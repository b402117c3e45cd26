import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline/promises';
import { text as readText } from 'node:stream/consumers';
import { Client } from '../../client/client.js';
import { engineAddress } from '../../client/host.js';
import { type Command, type CommandContext, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { bool, list, text } from '../../program/flag-types.js';
import { parseExport } from '../../transfer/file.js';
import { KINDS, type Kind, type Snapshot } from '../../transfer/objects.js';
import { planTransfer } from '../../transfer/plan.js';
import type { PlanItem, Verdict } from '../../transfer/plan-item.js';
import { formatPlan, summarise } from '../../transfer/print.js';
import { selectObjects } from '../../transfer/select.js';
import { applyPlan } from './apply.js';
import { readCluster } from './read.js';
import { readSecretValues } from './secret-values.js';

/** Exit code of `--plan` and of `diff` when there is something to do. */
const SOMETHING_TO_DO = 2;

/** Flags that say what a cluster is compared with, and how. */
const SOURCE_FLAGS = {
  'map-node': list('Node here that takes the place of one of the source (format: OLD=NEW)', { check: checkPair }),
  skip: list(`Kind of objects to leave alone (${KINDS.join(', ')})`, { words: KINDS }),
};

/** `import`. */
export const importCommand: Command = command({
  name: 'import',
  summary: 'Create what another cluster (Docker Swarm, or an export) has, with a plan first',
  synopsis: '(FILE | --from HOST)',
  arity: { min: 0, max: 1 },
  argument: 'file',
  flags: {
    ...SOURCE_FLAGS,
    from: text('Socket of a manager of the Docker Swarm to read (format: "unix://PATH" or "tcp://HOST:PORT")'),
    plan: bool('Only show what would be done; exit code 2 when there is something to do'),
    prune: bool('Remove services, networks, secrets, configs and labels that the source does not have'),
    secret: list('File with the value of a secret (format: NAME=FILE)', { check: checkPair }),
    service: list('Only this service and what it uses'),
    stack: list('Only the services of this stack and what they use'),
    'secrets-dir': text('Directory of files named like the secrets, with their values'),
    'with-registry-auth': bool('Send registry authentication details to swarm agents'),
    yes: bool('Do not ask before doing what the plan says', { short: 'y' }),
  },
  async run(context, { flags, args }) {
    const { out, err } = context;
    if (args[0] === '-' && !flags.yes && !flags.plan) {
      throw new CommandError('standard input is the export and cannot answer questions, too: say --plan or --yes');
    }
    const selection = { stacks: flags.stack, services: flags.service };
    if (flags.prune && flags.stack.length + flags.service.length > 0) {
      throw new CommandError('--prune removes what the source does not have: it cannot be told of a part of it');
    }
    const all = await readSource(context, flags.from, args[0]);
    const source = { ...all, objects: selectObjects(all.objects, selection) };
    const target = await readCluster(context.client);
    const names = source.objects.secrets.map(({ Name }) => Name);
    const secretSources = { folder: flags['secrets-dir'], files: flags.secret };
    const items = planTransfer(source, target, {
      ...planOptions(flags),
      prune: flags.prune,
      secretValues: await readSecretValues(context, secretSources, names),
    });
    out.write(`${formatPlan(items)}\n${summarise(items)}\n`);
    const acts = items.filter(({ verdict }) => DOES.has(verdict));
    if (acts.some(({ kind }) => kind === 'service') && !flags['with-registry-auth']) out.write(AUTH_HINT);
    if (flags.plan) return acts.length > 0 ? SOMETHING_TO_DO : leftOver(items);
    if (acts.length === 0) return leftOver(items);
    if (!flags.yes && !(await confirmed(context))) throw new CommandError('nothing was done');
    const options = { handles: target.handles, withAuth: flags['with-registry-auth'] };
    const failures = await applyPlan(context, items, options);
    if (failures > 0) err.write(`${failures} of ${acts.length} failed; import again once the reasons are gone\n`);
    return failures > 0 ? 1 : leftOver(items);
  },
});

/** `diff`: an import with `--prune` that is only shown. */
export const diffCommand: Command = command({
  name: 'diff',
  summary: 'Show what differs between the cluster and an export; exit code 2 when something does',
  synopsis: 'FILE',
  arity: 1,
  argument: 'file',
  flags: SOURCE_FLAGS,
  async run(context, { flags, args }) {
    const source = await readSource(context, undefined, args[0]);
    const target = await readCluster(context.client);
    // Values are no part of an export: that a secret is there or not is all that can differ.
    const secretValues = new Map(source.objects.secrets.map(({ Name }) => [Name, 'unknown']));
    const items = planTransfer(source, target, { ...planOptions(flags), prune: true, secretValues });
    const different = items.filter(({ verdict }) => verdict !== 'same').map((item) => ({ ...item, notes: [] }));
    context.out.write(formatPlan(different));
    return different.length > 0 ? SOMETHING_TO_DO : 0;
  },
});

const DOES: ReadonlySet<Verdict> = new Set(['create', 'update', 'remove']);

const AUTH_HINT =
  'Credentials of registries cannot be read from a swarm: for private images use --with-registry-auth after docker login.\n';

/** 1 while something cannot be made or changed: what was asked for is not all here. */
function leftOver(items: readonly PlanItem[]): number {
  return items.some(({ verdict }) => verdict === 'cannot') ? 1 : 0;
}

function checkPair(value: string): string {
  if (/^[^=]+=.+$/.test(value)) return value;
  throw new Error(`${JSON.stringify(value)} has not the form NAME=VALUE`);
}

function planOptions(flags: { 'map-node': readonly string[]; skip: readonly string[] }): {
  nodeNames: Map<string, string>;
  skip: Set<Kind>;
} {
  const nodeNames = new Map(flags['map-node'].map((text) => text.split('=', 2) as [string, string]));
  const skip = flags.skip.map((word) => {
    const kind = KINDS.find((known) => known === word);
    if (kind === undefined) throw new CommandError(`--skip ${word}: the kinds are ${KINDS.join(', ')}`);
    return kind;
  });
  return { nodeNames, skip: new Set(skip) };
}

async function readSource(
  context: CommandContext,
  from: string | undefined,
  file: string | undefined,
): Promise<Snapshot> {
  if ((from === undefined) === (file === undefined)) {
    throw new CommandError('name one source: a file that swarmctl export wrote, or --from unix:///var/run/docker.sock');
  }
  if (from !== undefined) return readFrom(from);
  const { directory, stdin } = context;
  if (file === '-') return parseExport(await readText(stdin), 'standard input');
  let content: string;
  try {
    content = await readFile(path.resolve(directory, file!), 'utf8');
  } catch (thrown) {
    throw new CommandError(`cannot read ${file}: ${(thrown as Error).message}`);
  }
  return parseExport(content, file!);
}

/** Reads a Docker Swarm, its chosen ports written down. */
export async function readFrom(host: string): Promise<Snapshot> {
  const client = new Client(host, engineAddress(host));
  try {
    return await readCluster(client, { fixPorts: true });
  } finally {
    client.close();
  }
}

async function confirmed({ stdin, out }: CommandContext): Promise<boolean> {
  out.write('Do this? [y/N] ');
  const lines = createInterface({ input: stdin });
  try {
    for await (const line of lines) return /^y(es)?$/i.test(line.trim());
    return false;
  } finally {
    lines.close();
  }
}
