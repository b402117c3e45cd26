import { rmSync } from 'node:fs';
import { createLab, importBusyboxImage, type LabOptions } from '@swarmd/testkit';
import Docker from 'dockerode';
import { type Agent, type AgentOptions, createAgent } from '../../src/agent.js';
import { CLUSTER_LABEL } from '../../src/labels.js';
import { createNodeNetworksClient } from '../../src/network/client.js';
import { TestManager } from './manager.js';
import { agentOptions } from './system.js';

/** A real engine on a host of its own, with busybox, for the tests of one file. */
export async function createTestEngine(name: string, options: Partial<LabOptions> = {}) {
  const lab = await createLab({ name: `${name}-${process.pid}`, hosts: [{ networks: true }], ...options });
  const host = lab.hosts[0]!;
  await importBusyboxImage(host);
  const docker = new Docker({ socketPath: host.engineSocket });
  return {
    lab,
    host,
    docker,
    /** Containers of the agent's cluster. */
    containers: () =>
      docker.listContainers({ all: true, filters: JSON.stringify({ label: [`${CLUSTER_LABEL}=cluster1`] }) }),
    /** Standard output of a command in a container. */
    exec: async (container: string, command: string) => {
      return (await host.run(['docker', 'exec', container, 'sh', '-c', command])).trim();
    },
  };
}

/** An engine for tests. */
export type TestEngine = Awaited<ReturnType<typeof createTestEngine>>;

/** A manager and an agent on an engine, with a session between them. */
export class TestNode {
  readonly manager: TestManager;
  readonly options: AgentOptions;
  agent: Agent;
  index = 0;

  private constructor(engine: TestEngine, manager: TestManager, over: Partial<AgentOptions>) {
    this.manager = manager;
    this.options = {
      ...agentOptions(),
      engineSocket: engine.host.engineSocket,
      nodeNetworks: createNodeNetworksClient(engine.host.path('/run/swarmd/net.sock')),
      dataPathAddr: engine.host.ip,
      connect: manager.connect,
      managers: () => [manager.addr],
      ...over,
    };
    this.agent = createAgent(this.options);
  }

  static async start(engine: TestEngine, over: Partial<AgentOptions> = {}): Promise<TestNode> {
    const node = new TestNode(engine, await new TestManager().start(), over);
    await node.agent.start();
    await node.manager.until(() => node.manager.connected, 'a session');
    return node;
  }

  /** A full set at the next index. */
  complete(...changes: Parameters<TestManager['complete']>[0]): void {
    this.manager.complete(changes, ++this.index);
  }

  /** A difference at the next index. */
  change(...changes: Parameters<TestManager['incremental']>[0]): void {
    this.manager.incremental(changes, ++this.index);
  }

  /** swarmd stops and starts again on the same disk. */
  async restart(meanwhile: () => Promise<unknown> = async () => {}): Promise<void> {
    await this.agent.stop();
    await meanwhile();
    this.manager.statuses.clear();
    this.agent = createAgent(this.options);
    await this.agent.start();
    await this.manager.until(() => this.manager.connected, 'a session');
  }

  /** Removes everything again. */
  async end(): Promise<void> {
    await this.agent.leave();
    this.manager.kill();
    rmSync(this.options.stateDir, { recursive: true, force: true });
    rmSync(this.options.runDir, { recursive: true, force: true });
  }
}

/** The lines that a manager got for a subscription, and whether it was told that these are all. */
export function logsOf(manager: TestManager, id: string) {
  const requests = manager.logs.filter((request) => request.subscriptionId === id);
  const records = requests.flatMap((request) => request.records);
  return {
    lines: records.map((record) => `${record.stream} ${Buffer.from(record.data).toString()}`),
    records,
    ended: requests.some((request) => request.end),
    error: requests.map((request) => request.error).join(''),
  };
}
