import {
  asSwarmdError,
  type Clock,
  type Driver,
  type NodeDescription,
  pause,
  type Random,
  SwarmdError,
} from '@swarmd/model';
import type { ClusterUpdate, DataPath, DispatcherClient, LogSubscription, Welcome } from '@swarmd/wire';
import type { Logger } from 'pino';
import { gateOf } from '../network/endpoint-changes.js';
import type { SessionNetworks } from '../network/node-networking.js';
import type { AgentState } from '../worker/state.js';
import type { Worker } from '../worker/worker.js';
import { attemptOrder, FIRST_BACKOFF_MS, nextBackoffMs } from './backoff.js';
import { type Answerer, createAnswerer, type InquiryHandlers } from './inquiries.js';
import type { StatusReporter } from './reporter.js';
import { openSession, type Session, type SessionHandlers } from './session.js';

/** What a {@link SessionClient} needs. */
export interface SessionClientDeps {
  /** A dispatcher client on a channel of its own to the manager at `addr` (`host:port`), with this node's certificate. */
  connect(addr: string): DispatcherClient;
  /** Managers to try besides those remembered, `host:port`. */
  managers(): readonly string[];
  /** Waits for the host's description; at first the engine may not answer. */
  description(signal: AbortSignal): Promise<NodeDescription>;
  /** The roots that this node trusts, PEM after PEM; empty when nobody knows. */
  trustRoot(): string;
  worker: Worker;
  /** Absent on nodes without overlay networks. */
  networks?: SessionNetworks | undefined;
  reporter: StatusReporter;
  state: AgentState;
  onWelcome(welcome: Welcome): void;
  onCluster(update: ClusterUpdate): void;
  onSessionEnd(reason: SwarmdError): void;
  /** Publishes a subscription's logs until its signal aborts. */
  publishLogs(dispatcher: DispatcherClient, subscription: LogSubscription, signal: AbortSignal): Promise<void>;
  /** What managers may ask. */
  inquiries?: InquiryHandlers;
  backWithinMs(): number;
  bootNonce: string;
  swarmdVersion: string;
  advertiseAddr: string;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** Keeps a session with one of the managers, whichever answers. */
export class SessionClient {
  readonly #deps: SessionClientDeps;
  readonly #answerer: Answerer;
  #session: Session | undefined;
  #description: NodeDescription | undefined;
  #sentDescription = '';
  #taskLogDriver: Driver | undefined;

  constructor(deps: SessionClientDeps) {
    this.#deps = deps;
    this.#answerer = createAnswerer(deps.inquiries ?? {}, deps.clock);
  }

  /** Whether a manager knows this node at the moment. */
  get connected(): boolean {
    return this.#session !== undefined;
  }

  /** The cluster's log driver for tasks whose spec names none, as far as a manager has said. */
  get taskLogDriver(): Driver | undefined {
    return this.#taskLogDriver;
  }

  /** The host's description may have changed: tells the manager if so. */
  describe(description: NodeDescription): void {
    this.#description = description;
    const json = this.#described(description);
    if (this.#session === undefined || json === this.#sentDescription) return;
    this.#sentDescription = json;
    this.#session.send({ $case: 'description', value: { description: Buffer.from(json) } });
  }

  /** The roots that are trusted may have changed: tells the manager if so. */
  describeAgain(): void {
    if (this.#description !== undefined) this.describe(this.#description);
  }

  #described(description: NodeDescription): string {
    const TrustRoot = this.#deps.trustRoot();
    return JSON.stringify(TrustRoot === '' ? description : { ...description, TLSInfo: { TrustRoot } });
  }

  /** Ends the session, to open another one at once. */
  reconnect(): void {
    this.#session?.end(new SwarmdError('aborted', 'the session is opened anew'));
  }

  /** Opens session after session until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { random, logger, clock } = this.#deps;
    let boundMs = FIRST_BACKOFF_MS;
    let lastReason = '';
    let left: string | undefined;
    while (!signal.aborted) {
      for (const addr of this.#candidates(left)) {
        if (signal.aborted) return;
        const { welcome, reason } = await this.#once(addr, signal);
        if (signal.aborted) return;
        if (welcome) boundMs = FIRST_BACKOFF_MS;
        if (welcome || reason.message !== lastReason) {
          logger.warn({ manager: addr, code: reason.code, reason: reason.message }, 'no session with a manager');
        }
        lastReason = reason.message;
        this.#deps.onSessionEnd(reason);
        // Having been welcome, the list of managers is fresh: start over with it.
        if (welcome) {
          left = addr;
          break;
        }
      }
      await pause(clock, random.float() * boundMs, signal);
      boundMs = nextBackoffMs(boundMs);
    }
  }

  #candidates(left: string | undefined): string[] {
    const { state, managers, random } = this.#deps;
    return attemptOrder([...state.managers().map((peer) => peer.addr), ...managers()], left, () => random.float());
  }

  /** One session from beginning to end. */
  async #once(addr: string, signal: AbortSignal): Promise<{ welcome: boolean; reason: SwarmdError }> {
    const { worker, reporter, state, logger } = this.#deps;
    const session = new AbortController();
    let dispatcher: DispatcherClient | undefined;
    let welcome = false;
    try {
      this.#description = await this.#deps.description(signal);
      this.#sentDescription = this.#described(this.#description);
      const description = Buffer.from(this.#sentDescription);
      dispatcher = this.#deps.connect(addr);
      const channel = dispatcher;
      const subscriptions = new Map<string, AbortController>();
      worker.beginSession();
      const { bootNonce, swarmdVersion, advertiseAddr, clock, backWithinMs } = this.#deps;
      const dataPath = await this.#deps.networks?.dataPath(signal);
      const about = { bootNonce, swarmdVersion, advertiseAddr, dataPath };
      const register = { description, seenIndex: state.seenIndex(), ...about };
      const open = openSession(
        { client: channel, register, backWithinMs, clock, logger },
        {
          onWelcome: (message) => {
            welcome = true;
            logger.info({ manager: addr, session: message.sessionId }, 'session with a manager');
            this.#session = open;
            this.#deps.onWelcome(message);
            this.#beginNetworks(open, dataPath);
            worker.setConnected(true);
            reporter.attach((batch) => open.send({ $case: 'statuses', value: batch }), worker.statuses());
          },
          onMessage: (body) => this.#take(open, channel, subscriptions, session.signal, body),
        },
        signal,
      );
      return await open.over;
    } catch (thrown) {
      return { welcome, reason: asSwarmdError(thrown) };
    } finally {
      this.#session = undefined;
      this.#deps.networks?.end();
      worker.setConnected(false);
      reporter.detach();
      session.abort();
      dispatcher?.close();
    }
  }

  #beginNetworks(open: Session, dataPath: DataPath | undefined): void {
    this.#deps.networks?.begin(dataPath, {
      applied: (index) => open.send({ $case: 'endpointsApplied', value: { index } }),
      attachments: (attachments) => {
        // A manager that knows nothing of this node's data path has no use for them.
        const value = { attachments: Buffer.from(JSON.stringify(attachments)) };
        if (dataPath !== undefined) open.send({ $case: 'attachments', value });
      },
      renew: (reason) => open.end(reason),
    });
  }

  #take(
    open: Session,
    dispatcher: DispatcherClient,
    subscriptions: Map<string, AbortController>,
    signal: AbortSignal,
    body: Parameters<SessionHandlers['onMessage']>[0],
  ): void {
    const { worker, reporter, state, logger } = this.#deps;
    switch (body.$case) {
      case 'assignments': {
        const taken = worker.take(body.value);
        if (taken !== 'taken') {
          open.end(new SwarmdError('out-of-sequence', `the assignments were ${taken}: asking for a full set`));
        }
        return;
      }
      case 'statusAck':
        state.sawIndex(body.value.storeIndex);
        reporter.acknowledged(body.value);
        return;
      case 'cluster':
        if (body.value.taskLogDriver !== undefined) this.#taskLogDriver = readDriver(body.value.taskLogDriver);
        if (body.value.managers.length > 0) state.setManagers(body.value.managers);
        this.#deps.networks?.cluster(body.value);
        this.#deps.onCluster(body.value);
        return;
      case 'endpoints':
        this.#deps.networks?.endpoints(body.value);
        return;
      case 'endpointSettled': {
        const gate = gateOf(body.value.phase);
        if (gate !== undefined) worker.settled(body.value.taskId, gate);
        return;
      }
      case 'logSubscription': {
        const { value } = body;
        const stop = new AbortController();
        subscriptions.set(value.id, stop);
        this.#deps
          .publishLogs(dispatcher, value, AbortSignal.any([signal, stop.signal]))
          .catch((thrown: unknown) => logger.warn({ reason: asSwarmdError(thrown).message }, 'logs could not be sent'))
          .finally(() => subscriptions.delete(value.id));
        return;
      }
      case 'inquiry':
        void this.#answerer
          .answer(body.value, signal)
          .then((answer) => open.send({ $case: 'inquiryAnswer', value: answer }));
        return;
      case 'logUnsubscription':
        subscriptions.get(body.value.id)?.abort();
        return;
    }
  }
}

function readDriver(json: Uint8Array): Driver | undefined {
  return json.length === 0 ? undefined : (JSON.parse(Buffer.from(json).toString('utf8')) as Driver);
}
