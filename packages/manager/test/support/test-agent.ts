import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { SwarmdError, TaskState } from '@swarmd/model';
import {
  type AgentMessage,
  type AssignmentChange,
  Assignments_Kind,
  clientArguments,
  createChannel,
  createIdentityHolder,
  DispatcherClient,
  fromGrpcError,
  type Identity,
  type ManagerMessage,
  type Register,
} from '@swarmd/wire';

type Body = NonNullable<ManagerMessage['body']>;
type BodyOf<C extends Body['$case']> = Extract<Body, { $case: C }>['value'];

/** The agent's end of a session, without an engine behind it: says what a test tells it to and keeps what it hears. */
export interface TestAgent {
  readonly client: DispatcherClient;
  readonly received: Body[];
  /** What the agent must have, by kind and ID, as the assignments so far leave it. */
  readonly assigned: Map<string, NonNullable<AssignmentChange['item']>>;
  /** Sequence number of the set in `assigned`. */
  readonly sequence: number;
  send(body: NonNullable<AgentMessage['body']>): void;
  /** Reports a status for a task; resolves with the acknowledgement. */
  report(taskId: string, state: TaskState, over?: object): Promise<BodyOf<'statusAck'>>;
  /** The next message of a kind, or one already received and not yet taken, that satisfies `accept`. */
  next<C extends Body['$case']>(kind: C, accept?: (value: BodyOf<C>) => boolean): Promise<BodyOf<C>>;
  /** Resolves once `condition` holds after a message, or does already. */
  until(condition: () => boolean): Promise<void>;
  /** Stops reading, as an agent that hangs; or reads again. */
  pause(): void;
  resume(): void;
  /** Resolves with the error that the manager ended the session with, or `undefined`. */
  readonly ended: Promise<SwarmdError | undefined>;
  close(): void;
}

/** The key of a change, as `assigned` has it. */
export function changeKey({ item }: AssignmentChange): string {
  if (item?.$case === 'spec') return `spec/${item.value.serviceId}/${item.value.specVersion}`;
  return `${item?.$case}/${item?.value.id}`;
}

/** Opens a session on `addr` as `identity`, and registers. */
export function startTestAgent(addr: string, identity: Identity, over: Partial<Register> = {}): TestAgent {
  const channel = createChannel(addr, createIdentityHolder(identity));
  const client = new DispatcherClient(...clientArguments(channel));
  const stream: ClientDuplexStream<AgentMessage, ManagerMessage> = client.session();
  const received: Body[] = [];
  const taken = new Set<Body>();
  const assigned: TestAgent['assigned'] = new Map();
  const waiting = new Set<() => void>();
  let sequence = 0;
  let parts: AssignmentChange[] = [];
  let batch = 0;

  const assign = (value: BodyOf<'assignments'>): void => {
    parts.push(...value.changes);
    if (!value.lastPart) return;
    if (value.kind === Assignments_Kind.KIND_COMPLETE) assigned.clear();
    else if (value.appliesTo !== sequence) throw new Error(`difference to ${value.appliesTo}, but at ${sequence}`);
    for (const change of parts) {
      if (change.remove) assigned.delete(changeKey(change));
      else assigned.set(changeKey(change), change.item!);
    }
    sequence = value.resultsIn;
    parts = [];
  };
  const wake = (): void => {
    for (const check of [...waiting]) check();
  };
  const ended = new Promise<SwarmdError | undefined>((resolve) => {
    stream.on('error', (error) => resolve(fromGrpcError(error)));
    stream.on('end', () => resolve(undefined));
  });
  stream.on('data', ({ body }: ManagerMessage) => {
    if (body === undefined) return;
    received.push(body);
    if (body.$case === 'assignments') assign(body.value);
    wake();
  });
  const until = (condition: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const check = (): void => {
        if (!condition()) return;
        waiting.delete(check);
        resolve();
      };
      waiting.add(check);
      check();
    });
  const next: TestAgent['next'] = async (kind, accept = () => true) => {
    const find = (): Body | undefined =>
      received.find((body) => body.$case === kind && !taken.has(body) && accept(body.value as never));
    await until(() => find() !== undefined);
    const found = find()!;
    taken.add(found);
    return found.value as never;
  };
  const send: TestAgent['send'] = (body) => {
    stream.write({ body });
  };
  const description = { Hostname: `host-${identity.nodeId.slice(0, 4)}`, Platform: {}, Resources: {}, Engine: {} };
  const register = {
    description: Buffer.from(JSON.stringify(description)),
    seenIndex: 0,
    bootNonce: `boot-${identity.nodeId}`,
    swarmdVersion: '0.1.0',
    advertiseAddr: '10.1.2.3',
    dataPath: undefined,
  };
  send({ $case: 'register', value: { ...register, ...over } });
  return {
    ...{ client, received, assigned, send, next, until, ended },
    get sequence() {
      return sequence;
    },
    report: (taskId, state, over = {}) => {
      batch += 1;
      const status = { Timestamp: new Date().toISOString(), State: state, Message: state, ...over };
      const statuses = [{ taskId, status: Buffer.from(JSON.stringify(status)) }];
      send({ $case: 'statuses', value: { sequence: batch, statuses } });
      const mine = batch;
      return next('statusAck', (ack) => ack.sequence === mine);
    },
    pause: () => stream.pause(),
    resume: () => stream.resume(),
    close: () => {
      stream.cancel();
      channel.close();
    },
  };
}

/** Lets an agent send heartbeats until its session ends. */
export function keepBeating(agent: TestAgent): void {
  const beating = setInterval(() => agent.send({ $case: 'heartbeat', value: { clockMs: 0 } }), 300);
  void agent.ended.then(() => clearInterval(beating));
}
