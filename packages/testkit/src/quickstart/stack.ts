import { setTimeout as delay } from 'node:timers/promises';
import { SwarmdError } from '@swarmd/model';
import { exampleStackFile, exampleStackName } from './places.js';
import type { Tell } from './screen.js';
import { callSwarmd, trySwarmctl } from './swarmd.js';

const deployTimeoutMs = 120_000;
const settleTimeoutMs = 180_000;
const pollMs = 250;

/** The part of a service that the quickstart looks at. */
interface ServiceView {
  ID: string;
  Spec: { Name: string };
  Endpoint?: { Ports?: { PublishedPort?: number }[] };
  ServiceStatus?: { RunningTasks: number; DesiredTasks: number };
}

/** The part of a task that the quickstart looks at. */
interface TaskView {
  ServiceID: string;
  NodeID?: string;
  DesiredState: string;
  Status: { State: string; Err?: string };
}

/** A service whose tasks no node can take, and the scheduler's words for it. */
export interface WaitingService {
  name: string;
  reason: string;
}

/** Deploys the example stack with its page on `webPort`; without a registry no image is looked up. */
export async function deployExample(
  socket: string,
  options: { webPort: number; registry: boolean },
  tell: Tell,
): Promise<void> {
  const looking = options.registry ? [] : ['--resolve-image', 'never'];
  const args = ['stack', 'deploy', '--detach', ...looking, '-c', exampleStackFile, exampleStackName];
  const env = { WEB_PORT: String(options.webPort) };
  const result = await trySwarmctl(socket, args, { env, timeoutMs: deployTimeoutMs });
  if (result.code !== 0) {
    throw new SwarmdError('internal', `the stack was refused:\n${(result.stderr || result.stdout).trim()}`);
  }
  if (result.stdout.trim()) tell(result.stdout);
}

/**
 * Follows the example's services until each runs all its tasks or waits for a node that does not exist; resolves with
 * those that wait. Each change is told. Rejects after three minutes with what the tasks said.
 */
export async function followExample(socket: string, tell: Tell): Promise<WaitingService[]> {
  const said = new Map<string, string>();
  const deadline = performance.now() + settleTimeoutMs;
  for (;;) {
    const services = await exampleServices(socket);
    const tasks = await exampleTasks(socket);
    const waiting: WaitingService[] = [];
    const open: string[] = [];
    for (const service of services) {
      const name = service.Spec.Name;
      const { RunningTasks: running = 0, DesiredTasks: desired = 0 } = service.ServiceStatus ?? {};
      const reason = waitingReason(tasks.filter(({ ServiceID }) => ServiceID === service.ID));
      const line = `${name.padEnd(22)} ${running}/${desired}${reason ? '  waits: no node can take it' : ''}`;
      if (said.get(name) !== line) tell(line);
      said.set(name, line);
      if (running >= desired && desired > 0) continue;
      if (reason) waiting.push({ name, reason });
      else open.push(name);
    }
    if (services.length > 0 && open.length === 0) return waiting;
    if (performance.now() > deadline) throw notSettled(open, tasks);
    await delay(pollMs);
  }
}

/** IDs of the nodes that run a task of the example's service, by its short name. */
export async function nodesRunning(socket: string, service: string): Promise<string[]> {
  const found = (await exampleServices(socket)).find(({ Spec }) => Spec.Name === `${exampleStackName}_${service}`);
  const tasks = (await exampleTasks(socket)).filter((task) => {
    return task.ServiceID === found?.ID && task.Status.State === 'running';
  });
  return [...new Set(tasks.map(({ NodeID }) => NodeID ?? ''))];
}

/** The port that the example's page has in this cluster; undefined while it is not deployed. */
export async function deployedWebPort(socket: string): Promise<number | undefined> {
  const web = (await exampleServices(socket)).find(({ Spec }) => Spec.Name === `${exampleStackName}_web`);
  return web?.Endpoint?.Ports?.[0]?.PublishedPort;
}

/** The first line of the page at `url`, asked for until it answers; rejects when it does not within 30 s. */
export async function untilPageAnswers(url: string): Promise<string> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(3_000) });
      const text = await response.text();
      if (response.ok) return /<h1>(.*?)<\/h1>/.exec(text)?.[1] ?? text.trim();
    } catch (error) {
      if (performance.now() > deadline) {
        throw new SwarmdError('unavailable', `${url} does not answer, although its tasks run`, { cause: error });
      }
    }
    await delay(pollMs);
  }
}

function exampleServices(socket: string): Promise<ServiceView[]> {
  return callSwarmd(socket, `/services?${new URLSearchParams({ status: 'true', filters: ofExample() })}`);
}

function exampleTasks(socket: string): Promise<TaskView[]> {
  return callSwarmd(socket, `/tasks?${new URLSearchParams({ filters: ofExample() })}`);
}

function ofExample(): string {
  return JSON.stringify({ label: [`com.docker.stack.namespace=${exampleStackName}`] });
}

/** What the scheduler says of tasks that it cannot place; undefined when there are none. */
function waitingReason(tasks: readonly TaskView[]): string | undefined {
  return tasks.find(({ DesiredState, Status }) => {
    return DesiredState === 'running' && Status.State === 'pending' && (Status.Err ?? '') !== '';
  })?.Status.Err;
}

function notSettled(open: readonly string[], tasks: readonly TaskView[]): SwarmdError {
  const errors = [...new Set(tasks.map(({ Status }) => Status.Err ?? '').filter(Boolean))];
  const heard = errors.length > 0 ? `\nTheir tasks said: ${errors.join('; ')}` : '';
  return new SwarmdError(
    'deadline-exceeded',
    `not running after ${settleTimeoutMs / 1000} s: ${open.join(', ')}${heard}\nSee: npx swarmctl service ps --no-trunc ${open[0]}`,
  );
}
