import type { ServiceEndpoints } from '@swarmd/model';
import { toGoJson } from '@swarmd/template';
import { getService } from '../../client/resources.js';
import { type ListLayout, printList } from '../../output/list.js';
import { type Command, type CommandContext, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { text } from '../../program/flag-types.js';

const TASKS: ListLayout = {
  headers: { Name: 'TASK', Node: 'NODE', Addresses: 'ADDRESSES', State: 'STATE', Endpoint: 'ENDPOINT', Why: 'WHY' },
  table: '{{.Name}}\t{{.Node}}\t{{.Addresses}}\t{{.State}}\t{{.Endpoint}}\t{{.Why}}',
};

/** `service endpoints`. */
export const serviceEndpoints: Command = command({
  name: 'endpoints',
  summary: "Show which tasks a service's name, virtual IPs and published ports lead to, and why not to the others",
  synopsis: 'SERVICE',
  arity: 1,
  argument: 'service',
  flags: { format: text('Format of the output: "table" or "json"', { words: ['table', 'json'] }) },
  async run(context, { flags, args }) {
    const { format = 'table' } = flags;
    if (format !== 'table' && format !== 'json') throw new CommandError(`--format is table or json, not ${format}`);
    const service = await getService(context.client, args[0]!);
    const endpoints = await context.client.get<ServiceEndpoints>(`/swarmd/services/${service.ID}/endpoints`);
    if (format === 'json') context.out.write(`${toGoJson(endpoints)}\n`);
    else describe(context, endpoints);
    return 0;
  },
});

function describe(context: CommandContext, { ServiceName, Mode, VirtualIPs, Ports, Tasks }: ServiceEndpoints): void {
  const addresses = VirtualIPs.map(({ Network, Address }) => `${Address} on ${Network}`).join(', ');
  if (Mode === 'dnsrr') context.out.write(`${ServiceName} is found by its tasks’ addresses (dnsrr)\n`);
  else context.out.write(`${ServiceName} is found by ${addresses === '' ? 'no virtual IP' : addresses}\n`);
  for (const { Protocol, PublishedPort, TargetPort, PublishMode } of Ports) {
    const where = PublishMode === 'host' ? 'of the hosts of its tasks' : 'of every node';
    context.out.write(`Port ${PublishedPort || 'any'}/${Protocol} ${where} leads to port ${TargetPort}\n`);
  }
  context.out.write('\n');
  const rows = Tasks.map(({ Name, Hostname, NodeID, Addresses, State, Endpoint, Why }) => ({
    ...{ Name, Node: Hostname || NodeID, State, Endpoint, Why },
    Addresses: Addresses.map(({ Network, Address }) => `${Address} (${Network})`).join(', '),
  }));
  printList(context, TASKS, rows, {});
}
