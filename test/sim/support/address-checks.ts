import { isTerminal, type ReadView } from '@swarmd/model';
import type { CommitCheck } from './task-checks.js';

/** No two have the same address of a network: virtual IPs of services, tasks that have not ended, gateways. */
export const checkAddresses: CommitCheck = ({ events }, view) => {
  const given = events.some(({ table }) => table === 'task' || table === 'service' || table === 'network');
  return given ? duplicates(view) : [];
};

function duplicates(view: ReadView): string[] {
  const holders = new Map<string, string>();
  const wrong: string[] = [];
  const add = (networkId: string, address: string, who: string): void => {
    const key = `${address.replace(/\/.*/, '')} of network ${networkId}`;
    const other = holders.get(key);
    if (other !== undefined) wrong.push(`${key} is ${other}’s and ${who}’s`);
    holders.set(key, who);
  };
  for (const { ID, Allocation } of view.all('network'))
    for (const { Gateway } of Allocation?.Subnets ?? []) add(ID, Gateway, 'the gateway');
  for (const { Spec, Endpoint } of view.all('service'))
    for (const { NetworkID, Addr } of Endpoint?.VirtualIPs ?? []) add(NetworkID, Addr, `service ${Spec.Name}`);
  for (const task of view.all('task')) {
    const attachments = isTerminal(task.Status.State) ? [] : (task.NetworksAttachments ?? []);
    for (const { Network, Addresses } of attachments)
      for (const address of Addresses) add(Network.ID, address, `task ${task.ID}`);
  }
  return wrong;
}

/** Once all is at rest: whoever waits for an address says so, and everybody else has one on each network. */
export function checkAddressed(view: ReadView): string[] {
  const wrong: string[] = [];
  for (const task of view.all('task')) {
    if (isTerminal(task.Status.State) || task.Status.State === 'new') continue;
    const spec = view.get('spec', `${task.ServiceID}/${task.SpecVersion}`)?.Spec;
    for (const { Target = '' } of spec?.TaskTemplate?.Networks ?? []) {
      const attachment = task.NetworksAttachments?.find(({ Network }) => Network.ID === Target);
      if (attachment?.Addresses.length !== 1) wrong.push(`task ${task.ID} has no address on network ${Target}`);
    }
  }
  return wrong;
}
