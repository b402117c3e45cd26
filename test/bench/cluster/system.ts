/** Something that runs N equal containers on the same three engines: the raw engines, Docker Swarm or swarmd. */
export interface System {
  /** How figures call it. */
  readonly name: SystemName;
  /** Resolves once `replicas` containers run. */
  create(replicas: number): Promise<void>;
  /** Replaces every container, at most `parallelism` at a time, old ones stopped first; resolves once the last runs. */
  update(parallelism: number): Promise<void>;
  /** Removes what `create` made, old containers of updates too; resolves once no container is left on any engine. */
  remove(): Promise<void>;
}

export type SystemName = 'raw' | 'swarm' | 'swarmd';

/** Image of every container. */
export const IMAGE = 'busybox:latest';

/** Ends at once on SIGTERM, as a well-made service does, so that no system waits for a grace period. */
export const COMMAND: readonly string[] = ['sh', '-c', "trap 'exit 0' TERM; sleep 86400 & wait"];

/** What a stop may take before SIGKILL, in seconds: Docker's default. */
export const GRACE_SECONDS = 10;
