import { type Clock, type ForeignAttachment, type NodeNetworks, pause, type SwarmdError } from '@swarmd/model';
import type { ClusterUpdate, DataPath, EndpointUpdate } from '@swarmd/wire';
import type { Logger } from 'pino';
import type { EngineClient } from '../engine/client.js';
import { engineError } from '../engine/errors.js';
import type { AgentState } from '../worker/state.js';
import { AttachmentReporter } from './attachments.js';
import { describeDataPath } from './data-path.js';
import { NetworkLink } from './link.js';
import { watchNetworkEvents } from './network-events.js';

/** A swarmd-net that does not answer is asked again after this long. */
const RETRY_MS = 1_000;
/** One that this node took part in overlays with may be about to start, as swarmd is: it is waited for this long. */
const PATIENCE_MS = 5_000;
const PATIENCE_RETRY_MS = 250;

/** What a session tells managers of this node's networks. */
export interface NetworkReports {
  /** The data plane is as all updates up to this store index say. */
  applied(index: number): void;
  attachments(attachments: readonly ForeignAttachment[]): void;
  /** Ends the session, so that the next one tells everything from the start. */
  renew(reason: SwarmdError): void;
}

/** This node's networks, as its sessions with managers see them. */
export interface SessionNetworks {
  /**
   * How this node takes part in overlays; `undefined` while it does not. Asked before each session. A node that once does
   * goes on to: as long as it says so, others lead to its containers, whatever becomes of swarmd-net meanwhile.
   */
  dataPath(signal: AbortSignal): Promise<DataPath | undefined>;
  /** A session has begun, for which `dataPath` gave this. */
  begin(dataPath: DataPath | undefined, reports: NetworkReports): void;
  end(): void;
  /** Who is on a network has changed. */
  endpoints(update: EndpointUpdate): void;
  cluster(update: ClusterUpdate): void;
}

/** What {@link createNodeNetworking} needs. */
export interface NodeNetworkingDeps {
  nodeNetworks: NodeNetworks;
  nodeId: string;
  clusterId: string;
  /** IP of this node that peers send VXLAN packets to. */
  dataPathAddr: string;
  /** Remembers whether this node took part in overlays. */
  state: Pick<AgentState, 'tookPartAt' | 'setTookPartAt'>;
  /** The engine's client; `undefined` while it does not answer. */
  client(): EngineClient | undefined;
  /** How this host can take part in overlays with that address; default {@link describeDataPath}. */
  describe?(addr: string): Promise<DataPath>;
  clock: Clock;
  logger: Logger;
}

/** The agent's side of this node's networks, wired. */
export interface NodeNetworking {
  link: NetworkLink;
  sessions: SessionNetworks;
  /** The engine came up. */
  engineUp(client: EngineClient): void;
  engineDown(): void;
  /** Works until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>;
}

/** A {@link NodeNetworking}; nothing happens before `run`. */
export function createNodeNetworking(deps: NodeNetworkingDeps): NodeNetworking {
  const { nodeNetworks, nodeId, clusterId, dataPathAddr, describe = describeDataPath, state, clock, logger } = deps;
  const attachments = new AttachmentReporter({ clusterId, client: deps.client, logger });
  const own = { nodeId, clusterId, addr: dataPathAddr };
  const link = new NetworkLink({ nodeNetworks, own, clock, logger });
  let unwatch = new AbortController();
  let described: Promise<DataPath> | undefined;

  const comesUp = async (signal: AbortSignal): Promise<boolean> => {
    const deadline = clock.monotonic() + PATIENCE_MS;
    while (!signal.aborted && clock.monotonic() < deadline) {
      await pause(clock, PATIENCE_RETRY_MS, signal);
      if (await link.answers()) return true;
    }
    return false;
  };
  const follow = async (signal: AbortSignal): Promise<void> => {
    let revision = '';
    while (!signal.aborted) {
      try {
        const { endpoints, ...now } = await nodeNetworks.localEndpoints(revision, signal);
        if (now.revision !== revision) attachments.endpoints(endpoints);
        revision = now.revision;
      } catch {
        // Why swarmd-net is not there is said elsewhere.
        await pause(clock, RETRY_MS, signal);
      }
    }
  };
  return {
    link,
    sessions: {
      async dataPath(signal) {
        if (described === undefined) {
          const there = (await link.answers()) || (state.tookPartAt() === dataPathAddr && (await comesUp(signal)));
          state.setTookPartAt(there ? dataPathAddr : '');
          // Probing the kernel is for once; the address is for good, too.
          if (there) described = describe(dataPathAddr);
        }
        return described;
      },
      begin(dataPath, reports) {
        link.begin({ takesPart: dataPath !== undefined, applied: reports.applied, renew: reports.renew });
        attachments.begin(reports.attachments);
      },
      end() {
        link.end();
        attachments.end();
      },
      endpoints: (update) => link.update(update),
      cluster({ dataPathPort, dataPathPeers }) {
        if (dataPathPort > 0) link.peers(dataPathPort, dataPathPeers);
      },
    },
    engineUp(client) {
      unwatch.abort();
      const watching = new AbortController();
      unwatch = watching;
      watchNetworkEvents(client, () => attachments.lookAgain(), watching.signal).catch((thrown: unknown) => {
        logger.debug({ reason: engineError(thrown).message }, 'no events of networks');
      });
      attachments.lookAgain();
    },
    engineDown: () => unwatch.abort(),
    async run(signal) {
      await Promise.all([link.run(signal), follow(signal)]);
      unwatch.abort();
    },
  };
}
