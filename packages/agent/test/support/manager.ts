import { EventEmitter, once } from 'node:events';
import {
  credentials,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type sendUnaryData,
} from '@grpc/grpc-js';
import type { ForeignAttachment, ServiceSpec, TaskState, TaskStatus } from '@swarmd/model';
import {
  type AgentMessage,
  type AssignmentChange,
  Assignments_Kind,
  DispatcherClient,
  DispatcherService,
  type ManagerMessage,
  type PublishLogsRequest,
  type PublishLogsResponse,
  type Register,
} from '@swarmd/wire';

type Stream = ServerDuplexStream<AgentMessage, ManagerMessage>;

/** A manager's end of the protocol on a real gRPC server, told what to say by a test. */
export class TestManager extends EventEmitter {
  readonly statuses = new Map<string, TaskStatus>();
  /** Every state in which a task was reported, in order. */
  readonly history: [taskId: string, state: TaskState][] = [];
  readonly registers: Register[] = [];
  readonly logs: PublishLogsRequest[] = [];
  /** Store indexes up to which endpoint updates were said to be applied. */
  readonly applied: number[] = [];
  /** Containers besides tasks on networks, as last reported. */
  attachments: ForeignAttachment[] | undefined;
  heartbeats = 0;
  goodbyes: number[] = [];
  heartbeatPeriodMs = 500;
  /** Statuses are acknowledged with this index. */
  index = 1;
  acknowledges = true;
  addr = '';
  #server: Server | undefined;
  #stream: Stream | undefined;
  #sequence = 0;

  constructor() {
    super();
    this.setMaxListeners(0);
  }

  async start(port = 0): Promise<this> {
    const server = new Server();
    server.addService(DispatcherService, {
      session: (stream: Stream) => this.#session(stream),
      publishLogs: (
        stream: ServerReadableStream<PublishLogsRequest, PublishLogsResponse>,
        done: sendUnaryData<PublishLogsResponse>,
      ) => {
        stream.on('data', (request: PublishLogsRequest) => {
          this.logs.push(request);
          this.emit('change');
        });
        stream.on('end', () => done(null, {}));
        stream.on('error', () => {});
      },
    });
    const bound = await new Promise<number>((resolve, reject) =>
      server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, got) =>
        error ? reject(error) : resolve(got),
      ),
    );
    this.#server = server;
    this.addr = `127.0.0.1:${bound}`;
    return this;
  }

  /** The process dies: every stream breaks. */
  kill(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
    this.#stream = undefined;
  }

  /** The agent's `connect` port. */
  connect = (addr: string): DispatcherClient => new DispatcherClient(addr, credentials.createInsecure());

  get connected(): boolean {
    return this.#stream !== undefined;
  }

  send(body: NonNullable<ManagerMessage['body']>): void {
    this.#stream?.write({ body });
  }

  /** Sends a full set, cut into messages of `perMessage` changes. */
  complete(changes: AssignmentChange[], storeIndex: number, perMessage = 100): void {
    const resultsIn = ++this.#sequence;
    this.#send(Assignments_Kind.KIND_COMPLETE, 0, resultsIn, changes, storeIndex, perMessage);
  }

  incremental(changes: AssignmentChange[], storeIndex: number): void {
    const appliesTo = this.#sequence;
    this.#send(Assignments_Kind.KIND_INCREMENTAL, appliesTo, ++this.#sequence, changes, storeIndex, 100);
  }

  /** Loses a difference: the next one does not apply to what the agent has. */
  skip(): void {
    this.#sequence++;
  }

  #send(
    kind: typeof Assignments_Kind.KIND_COMPLETE | typeof Assignments_Kind.KIND_INCREMENTAL,
    appliesTo: number,
    resultsIn: number,
    changes: AssignmentChange[],
    storeIndex: number,
    perMessage: number,
  ): void {
    for (let at = 0; at === 0 || at < changes.length; at += perMessage) {
      this.send({
        $case: 'assignments',
        value: {
          ...{ kind, appliesTo, resultsIn, storeIndex },
          lastPart: at + perMessage >= changes.length,
          changes: changes.slice(at, at + perMessage),
        },
      });
    }
  }

  #session(stream: Stream): void {
    stream.on('data', ({ body }: AgentMessage) => {
      switch (body?.$case) {
        case 'register':
          this.registers.push(body.value);
          this.#stream = stream;
          this.send({
            $case: 'welcome',
            value: {
              sessionId: `session-${this.registers.length}`,
              nodeId: 'node1',
              clusterId: 'cluster1',
              heartbeatPeriodMs: this.heartbeatPeriodMs,
            },
          });
          break;
        case 'heartbeat':
          this.heartbeats++;
          this.send({ $case: 'heartbeat', value: { heartbeatPeriodMs: this.heartbeatPeriodMs } });
          break;
        case 'statuses':
          for (const { taskId, status } of body.value.statuses) {
            const read = JSON.parse(Buffer.from(status).toString('utf8')) as TaskStatus;
            this.statuses.set(taskId, read);
            this.history.push([taskId, read.State]);
          }
          if (this.acknowledges) {
            const ack = { sequence: body.value.sequence, storeIndex: this.index, rejected: [] };
            this.send({ $case: 'statusAck', value: ack });
          }
          break;
        case 'endpointsApplied':
          this.applied.push(body.value.index);
          break;
        case 'attachments':
          this.attachments = JSON.parse(Buffer.from(body.value.attachments).toString('utf8'));
          break;
        case 'goodbye':
          this.goodbyes.push(body.value.backWithinMs);
          break;
      }
      this.emit('change');
    });
    const gone = () => {
      if (this.#stream === stream) this.#stream = undefined;
      this.emit('change');
    };
    stream.on('end', () => {
      stream.end();
      gone();
    });
    stream.on('error', gone);
    stream.on('close', gone);
  }

  /** Waits until `test` holds, looking at every change. */
  async until(test: () => boolean, what: string, timeoutMs = 60_000): Promise<void> {
    const signal = AbortSignal.timeout(timeoutMs);
    while (!test()) {
      await once(this, 'change', { signal }).catch(() => {
        const states = [...this.statuses].map(
          ([id, status]) => `${id}: ${status.State} ${status.Err ?? status.Message}`,
        );
        throw new Error(`waited in vain for ${what}; ${states.join(', ')}`);
      });
    }
  }

  /** Waits until a task is reported in a state. */
  state(taskId: string, state: TaskState): Promise<void> {
    return this.until(() => this.statuses.get(taskId)?.State === state, `${taskId} to be ${state}`);
  }
}

/** A change that assigns a task of service `s1` at spec version 1, unless overridden. */
export function taskChange(
  id: string,
  desiredState: TaskState,
  over: {
    serviceId?: string;
    specVersion?: number;
    slot?: number;
    remove?: boolean;
    ended?: boolean;
    networks?: unknown;
    ports?: unknown;
  } = {},
): AssignmentChange {
  return {
    remove: over.remove ?? false,
    item: {
      $case: 'task',
      value: {
        id,
        serviceId: over.serviceId ?? 's1',
        specVersion: over.specVersion ?? 1,
        serviceName: 'web',
        slot: over.slot ?? 1,
        desiredState,
        hostPorts: json(over.ports ?? []),
        networks: json(over.networks ?? []),
        genericResources: json([]),
        nodeHostname: 'h1',
        createdAt: '2026-01-01T00:00:00Z',
        ended: over.ended ?? false,
      },
    },
  };
}

/** A change that brings a spec. */
export function specChange(spec: ServiceSpec, serviceId = 's1', specVersion = 1): AssignmentChange {
  return {
    remove: false,
    item: { $case: 'spec', value: { serviceId, specVersion, spec: json(spec), registryAuth: '' } },
  };
}

/** A change that brings a secret. */
export function secretChange(id: string, data: string, templating = ''): AssignmentChange {
  return {
    remove: false,
    item: { $case: 'secret', value: { id, name: id, data: Buffer.from(data), templating } },
  };
}

/** A change that brings a config. */
export function configChange(id: string, data: string, templating = ''): AssignmentChange {
  return {
    remove: false,
    item: { $case: 'config', value: { id, name: id, data: Buffer.from(data), templating } },
  };
}

/** A change that brings, or with `remove` takes away, a network that every engine has by itself. */
export function networkChange(id: string, name: string, remove = false): AssignmentChange {
  const value = { id, spec: json({ Name: name, Driver: 'overlay' }), allocation: json(null), addressBlocks: [] };
  return { remove, item: { $case: 'network', value } };
}

/** A change that brings, or with `remove` takes away, an overlay `10.<number>.0.0/24` of that name; its ID is `id`. */
export function overlayChange(
  id: string,
  name: string,
  number: number,
  { remove = false, ...spec }: { remove?: boolean; Attachable?: boolean; Internal?: boolean; Ingress?: boolean } = {},
): AssignmentChange {
  const Subnets = [{ Subnet: `10.${number}.0.0/24`, Gateway: `10.${number}.0.1` }];
  const allocation = json({ VNI: 2 ** 20 + number, Subnets, MTU: 1450 });
  const addressBlocks = [`10.${number}.0.64/26`];
  const value = { id, spec: json({ Name: name, Driver: 'overlay', ...spec }), allocation, addressBlocks };
  return { remove, item: { $case: 'network', value } };
}

/** A service that runs `command` in busybox with a short grace period. */
export function busybox(command: string, container: object = {}, template: object = {}): ServiceSpec {
  return {
    Name: 'web',
    TaskTemplate: {
      ContainerSpec: {
        Image: 'busybox:latest',
        Command: ['sh', '-c', command],
        StopGracePeriod: 1_000_000_000,
        Init: true,
        ...container,
      },
      ...template,
    },
  };
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
