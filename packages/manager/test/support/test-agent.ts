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
  type EndpointUpdate,
  fromGrpcError,
  type Identity,
  type ManagerMessage,
  type Register,
} from '@swarmd/wire';
import type { EndpointSet } from '../../src/dispatcher/endpoints/endpoint-set.js';

type Body = NonNullable<ManagerMessage['body']>;
type BodyOf<C extends Body['$case']> = Extract<Body, { $case: C }>['value'];

/** The agent's end of a session, without an engine behind it: says what a test tells it to and keeps what it hears. */
export interface TestAgent {
  readonly client: DispatcherClient;
  readonly received: Body[];
  /** What the agent must have, by kind and ID, as the assignments so far leave it. */
  readonly assigned: Map<string, NonNullable<AssignmentChange['item']>>;
  /** Who is on each network that the agent was told of, by ID, as the updates so far leave it. */
  readonly networks: Map<string, EndpointSet>;
  /** Whether it acknowledges each update of endpoints at once; it does, until a test says otherwise. */
  acknowledges: boolean;
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

  const networks: TestAgent['networks'] = new Map();
  let updates: EndpointUpdate[] = [];
  const change = (value: BodyOf<'endpoints'>): void => {
    updates.push(value);
    if (!value.lastPart) return;
    const known = networks.get(value.networkId) ?? { endpoints: new Map(), services: new Map(), blocks: new Map() };
    networks.set(value.networkId, known);
    applyUpdates(known, updates);
    updates = [];
    if (agent.acknowledges) send({ $case: 'endpointsApplied', value: { index: value.index } });
  };
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
    if (body.$case === 'endpoints') change(body.value);
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
  const agent: TestAgent = {
    ...{ client, received, assigned, networks, send, next, until, ended },
    acknowledges: true,
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
  return agent;
}

/** Applies one update of endpoints, in all its parts, to what was known before. */
export function applyUpdates(known: EndpointSet, parts: readonly EndpointUpdate[]): void {
  if (parts[0]?.complete) for (const map of [known.endpoints, known.services, known.blocks]) map.clear();
  for (const part of parts) {
    for (const id of part.removedEndpoints) known.endpoints.delete(id);
    for (const endpoint of part.endpoints) known.endpoints.set(endpoint.id, endpoint);
    for (const id of part.removedServices) known.services.delete(id);
    for (const service of part.services) known.services.set(service.id, service);
    for (const id of part.removedBlocks) known.blocks.delete(id);
    for (const blocks of part.blocks) known.blocks.set(blocks.nodeId, blocks);
  }
}

/** Lets an agent send heartbeats until its session ends. */
export function keepBeating(agent: TestAgent): void {
  const beating = setInterval(() => agent.send({ $case: 'heartbeat', value: { clockMs: 0 } }), 300);
  void agent.ended.then(() => clearInterval(beating));
}
