import { type AnsweringManager, type LeaderHandlers, startAnswering } from '@swarmd/manager';
import { type ClusterCheck, type RecoveryManager, SwarmdError } from '@swarmd/model';
import type { IdentityHolder } from '@swarmd/wire';
import { z } from 'zod';
import { checkCluster } from '../check/cluster.js';
import { checkOwn, type OwnCheck } from '../check/own.js';
import type { ManagerRuntime } from '../manager-runtime.js';
import type { Member } from '../member-file.js';
import type { NodePorts } from '../node-ports.js';
import { asManager, type Survey, surveyOthers, surveyOwn } from './survey.js';

const ManagerAddressSchema = z.object({ NodeID: z.string(), Addr: z.string() });
const ReplacedSchema = z.object({ managers: z.array(ManagerAddressSchema) });

/** A manager and where it is reached, `host:port`. */
export type ManagerAddress = z.infer<typeof ManagerAddressSchema>;

const TWO_MANAGERS =
  'There are two managers, and neither may be lost: add a third, or demote one ("swarmctl cluster check")';

/** What {@link ManagerQuestions} need of the node. */
export interface QuestionDependencies {
  config: { dataDir: string };
  ports: NodePorts;
  version: string;
  identity: IdentityHolder;
  member: Member;
  /** Managers known to this node, `host:port`. */
  managers(): readonly string[];
}

/** What {@link ManagerQuestions} need of the manager that they are about. */
export interface QuestionedManager {
  /** While it serves. */
  runtime(): ManagerRuntime | undefined;
  /** The cluster was recovered from another manager: this one is none any more. */
  onReplaced(managers: readonly ManagerAddress[]): void;
}

/** What a manager answers of itself, and asks of the others, whether there is a quorum or not. */
export class ManagerQuestions {
  readonly #deps: QuestionDependencies;
  readonly #manager: QuestionedManager;
  #answering: AnsweringManager | undefined;
  /** What it answers when another manager asks. */
  readonly answers: LeaderHandlers = {
    'check.own': () => this.#checkOwn(),
    'recovery.survey': () => this.#surveyOwn(),
    'recovery.replaced': (args) => this.#replaced(args),
  };

  constructor(deps: QuestionDependencies, manager: QuestionedManager) {
    this.#deps = deps;
    this.#manager = manager;
  }

  /** What whoever keeps this node should know of its managers. */
  get warnings(): readonly string[] {
    const host = this.#manager.runtime()?.host;
    const managers = [...(host?.store.view.all('node') ?? [])].filter(({ Spec }) => Spec.Role === 'manager');
    return managers.length === 2 && !host?.isExternal ? [TWO_MANAGERS] : [];
  }

  /** All managers that are known, and how far the log is of each that answers; this one first. */
  async survey(): Promise<RecoveryManager[]> {
    const { identity, member, managers } = this.#deps;
    const own = await this.#surveyOwn();
    const known = new Map(managers().map((addr) => [addr, { id: '', name: '' }]));
    for (const { ID, Spec, ManagerStatus, Description } of this.#manager.runtime()?.host.store.view.all('node') ?? []) {
      if (Spec.Role !== 'manager' || ID === own.NodeID || !ManagerStatus?.Addr) continue;
      known.set(ManagerStatus.Addr, { id: ID, name: Description?.Hostname ?? ID });
    }
    known.delete(member.advertiseAddr);
    const surveys = await surveyOthers(identity, [...known.keys()]);
    const others = [...known].map(([addr, about]) => asManager(addr, surveys.get(addr), about));
    const self = { ...asManager(member.advertiseAddr, own, { id: '', name: '' }), Self: true };
    return [self, ...others.filter(({ NodeID }) => NodeID !== own.NodeID)];
  }

  /** The cluster's health, as this manager finds it. */
  async check(): Promise<ClusterCheck> {
    const { identity, member, managers, ports } = this.#deps;
    const host = this.#manager.runtime()?.host;
    const addresses = { ownAddr: member.advertiseAddr, managers: managers() };
    return checkCluster({ identity, host, own: await this.#checkOwn(), ...addresses, now: () => ports.clock.now() });
  }

  /** As long as there is no quorum to serve with, others are answered on the manager's own port. */
  async answerOnPort(): Promise<void> {
    const { identity, member, ports } = this.#deps;
    const { listenAddr } = member;
    try {
      this.#answering ??= await startAnswering({
        ...{ identity, listenAddr, answers: this.answers, now: () => ports.clock.now() },
      });
    } catch (error) {
      ports.logger.warn({ err: error }, 'other managers cannot ask this one while it waits');
    }
  }

  /** Frees the port. */
  async answerNoMore(): Promise<void> {
    await this.#answering?.stop();
    this.#answering = undefined;
  }

  #surveyOwn(): Promise<Survey> {
    const { config, identity } = this.#deps;
    return surveyOwn(config.dataDir, identity.current.nodeId, this.#manager.runtime()?.host);
  }

  #checkOwn(): Promise<OwnCheck> {
    const { identity, version, ports } = this.#deps;
    const about = { nodeId: identity.current.nodeId, version, now: () => ports.clock.now() };
    return checkOwn(about, this.#manager.runtime());
  }

  async #replaced(args: unknown): Promise<void> {
    const { managers } = ReplacedSchema.parse(args);
    const { HasQuorum } = await this.#surveyOwn();
    if (HasQuorum) throw new SwarmdError('failed-precondition', 'this manager has a quorum: it goes on');
    // The answer is sent first: the port is this manager's own.
    setImmediate(() => this.#manager.onReplaced(managers));
  }
}
