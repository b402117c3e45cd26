import { exampleStackName, type Places } from './places.js';
import { indent } from './screen.js';
import type { WaitingService } from './stack.js';
import { swarmctl } from './swarmd.js';

/** What a run on one node ended with. */
export interface OneNodeResult {
  places: Places;
  /** Address of the example's page. */
  url: string;
  /** What the page said. */
  page: string;
  waiting: readonly WaitingService[];
}

/** What a run with hosts ended with. */
export interface HostsResult {
  /** The manager's API socket, as this machine sees it. */
  socket: string;
  /** Addresses of the example's page that answered. */
  urls: readonly string[];
  page: string;
  waiting: readonly WaitingService[];
  hosts: readonly { name: string; ip: string; engineSocket: string }[];
  /** Given when the lab has not its usual name: ` --name NAME`. */
  nameFlag: string;
}

/** The closing text of a run on one node. */
export async function summaryOfOneNode({ places, url, page, waiting }: OneNodeResult): Promise<string> {
  const isDefault = places.socket === '/run/swarmd/swarmd.sock';
  return [
    await tables(places.socket),
    explain(waiting, 'a cluster of one node has none: its only node is a manager.'),
    `Open      ${url}   (from elsewhere: this machine's address)`,
    `          it says: ${page}`,
    '',
    ...(isDefault ? [] : [`First     export SWARMCTL_HOST=unix://${places.socket}`]),
    'Try       npx swarmctl service ps quickstart_web',
    '          npx swarmctl service logs -f quickstart_worker',
    '          npx swarmctl service scale quickstart_api=4',
    `          docker -H unix://${places.socket} service ls`,
    '          npx swarmctl join-token worker      how another machine joins: docs/guide/joining-hosts.md',
    'Again     npm run quickstart',
    'Remove    npm run quickstart -- --stop        the stack, swarmd and its data',
  ].join('\n');
}

/** The closing text of a run with hosts. */
export async function summaryOfHosts(result: HostsResult): Promise<string> {
  const victim = result.hosts.at(-1)!;
  const again = `npm run quickstart --${result.nameFlag}`;
  return [
    await tables(result.socket),
    explain(result.waiting, 'none of the nodes fits it.'),
    'Open      published ports answer on every node; these run a task:',
    ...result.urls.map((url) => `          ${url}`),
    `          it says: ${result.page}`,
    '',
    'Hosts     each has an engine, an address and a swarmd of its own:',
    ...result.hosts.map(({ name, ip }) => `          ${name}  ${ip}`),
    '',
    `First     export SWARMCTL_HOST=unix://${result.socket}`,
    'Try       npx swarmctl node ls',
    `          npx swarmctl service ps ${exampleStackName}_web`,
    `          npx swarmctl node update --availability drain ${victim.name}`,
    `          docker -H unix://${result.socket} service ls`,
    `          docker -H unix://${victim.engineSocket} ps`,
    `Lose one  ${again} --kill ${victim.name}       its tasks run elsewhere within seconds`,
    `          ${again} --start ${victim.name}      and it comes back`,
    `Remove    ${again} --stop`,
  ].join('\n');
}

async function tables(socket: string): Promise<string> {
  const nodes = await swarmctl(socket, ['node', 'ls']);
  const services = await swarmctl(socket, ['service', 'ls']);
  return `\n$ npx swarmctl node ls\n${nodes}\n$ npx swarmctl service ls\n${services}`;
}

function explain(waiting: readonly WaitingService[], because: string): string {
  return waiting
    .map(({ name, reason }) => {
      const onPurpose = name === `${exampleStackName}_reports`;
      const why = onPurpose ? `It asks for a worker (node.role == worker), and ${because}` : '';
      return [
        `${name} waits${onPurpose ? ', on purpose' : ''}. The scheduler says:`,
        indent(reason, '    '),
        ...(why ? [indent(why, '    ')] : []),
        `    Ask at any time: npx swarmctl why ${name}`,
        '',
      ].join('\n');
    })
    .join('\n');
}
