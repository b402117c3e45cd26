import { createGrpcTransport } from '@swarmd/manager';
import type { RecoveryManager, RecoveryReport, RecoveryRequest } from '@swarmd/model';
import type { IdentityHolder } from '@swarmd/wire';
import { compareLogs } from './manager/survey.js';
import type { NodePorts } from './node-ports.js';

/** Another manager may take this long to hear that it is none any more. */
const TELL_TIMEOUT_MS = 5_000;

/** What a recovery from the first of `managers`, at `addr`, does, may lose, or is refused for. */
export function planRecovery(
  managers: readonly RecoveryManager[],
  addr: string,
  { AllowOlder = false, Force = false }: RecoveryRequest,
): RecoveryReport {
  const [self, ...others] = managers as [RecoveryManager, ...RecoveryManager[]];
  const answering = others.filter(({ Answers }) => Answers);
  const silent = others.filter(({ Answers }) => !Answers);
  const further = answering.filter((other) => compareLogs(self, other) < 0);
  return {
    NodeID: self.NodeID,
    Managers: [...managers],
    Steps: [
      `${self.Hostname} becomes the only manager, at ${addr}, with the state that it has`,
      'everything in its log counts as acknowledged; whoever led before can write nothing any more',
      ...(others.length > 0 ? [`no manager any more, but a worker: ${list(others)}`] : []),
      'containers go on running; nodes are connected to this manager as soon as they find it',
    ],
    Warnings: [
      ...further.map(
        (other) => `what ${nameOf(other)} has beyond ${logOf(self)} is lost: its log is at ${logOf(other)}`,
      ),
      ...silent.map(
        (other) =>
          `if the log of ${nameOf(other)}, which does not answer, is further, what it has beyond ${logOf(self)} is lost`,
      ),
      ...(silent.length > 1
        ? [
            `${list(silent)} must not be started where they reach each other and not ${addr}: they could go on without it`,
          ]
        : []),
      ...(addr === self.Addr
        ? []
        : [`nodes that know no manager but at old addresses are told on them: swarmctl cluster find ${addr}`]),
      ...(answering.length > 0
        ? [`managers again, when three are there: swarmctl node promote ${list(answering)}`]
        : []),
      ...(silent.length > 0 ? [`hosts that are gone for good: swarmctl node rm --force ${list(silent)}`] : []),
    ],
    Refusal: refusal(managers, further, { AllowOlder, Force }),
  };
}

function refusal(
  managers: readonly RecoveryManager[],
  further: readonly RecoveryManager[],
  { AllowOlder, Force }: { AllowOlder: boolean; Force: boolean },
): string {
  const quorate = managers.find(({ HasQuorum }) => HasQuorum);
  if (quorate !== undefined && !Force) {
    return `${nameOf(quorate)} has a quorum: there is nothing to recover. A manager that is lost is taken out with "swarmctl node demote", then "swarmctl node rm --force"`;
  }
  const furthest = further.toSorted(compareLogs).at(-1);
  if (furthest === undefined || AllowOlder) return '';
  return `the log of ${nameOf(furthest)} (${furthest.Addr}) is further: recover there, or add --allow-older and lose what it has more`;
}

const nameOf = ({ Hostname, Addr }: RecoveryManager): string => Hostname || Addr;
const list = (managers: readonly RecoveryManager[]): string => managers.map(nameOf).join(' ');
const logOf = ({ Term, Index }: RecoveryManager): string => `term ${Term}, index ${Index}`;

/** Tells the managers at `addrs` that they are none any more, and where the one is that is. Silence is no failure. */
export async function tellReplaced(
  identity: IdentityHolder,
  addrs: readonly string[],
  managers: readonly { NodeID: string; Addr: string }[],
  { logger }: Pick<NodePorts, 'logger'>,
): Promise<void> {
  const transport = createGrpcTransport(identity);
  const tell = async (addr: string): Promise<void> => {
    try {
      await transport.ask(addr, 'recovery.replaced', { managers }, { timeoutMs: TELL_TIMEOUT_MS });
    } catch (error) {
      logger.warn({ err: error, addr }, 'a manager was not told that it is none any more');
    }
  };
  await Promise.all(addrs.map(tell));
  transport.close();
}
