import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { Clock } from '@swarmd/model';
import { encode } from 'dns-packet';
import { NAME_PORTS, type Namespaces } from '../parts.js';
import { noLookup } from './ask-servers.js';

/** How long an answer may take, in milliseconds: the question is asked again once, as datagrams get lost. */
const ANSWER_MS = 1_000;

/** What is needed to ask. */
export interface SelfCheckDeps {
  socket: Namespaces['socket'];
  clock: Clock;
}

/** Whether anything at all is said to a question at `address` in the namespace `path`, asked from that very address. */
export async function answersAt({ socket, clock }: SelfCheckDeps, path: string, address: string): Promise<boolean> {
  let fd: number;
  try {
    fd = socket(path, 'udp', address, 0);
  } catch {
    // Not even the address is there.
    return false;
  }
  const asking = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4', lookup: noLookup });
  const question = encode({ type: 'query', id: 1, questions: [{ type: 'A', name: 'swarmd' }] });
  const cancels: (() => void)[] = [];
  try {
    return await new Promise<boolean>((resolve) => {
      const ask = (): void => asking.send(question, NAME_PORTS.own, address, () => {});
      asking.on('error', () => resolve(false));
      asking.on('message', () => resolve(true));
      asking.bind({ fd, exclusive: true }, ask);
      cancels.push(clock.after(ANSWER_MS, ask));
      cancels.push(clock.after(2 * ANSWER_MS, () => resolve(false)));
    });
  } finally {
    for (const cancel of cancels) cancel();
    asking.close();
  }
}
