/** Numbers that users of Docker Swarm rely on. Sources: swarmkit's defaults and the Docker Engine API; units in the names. */
export const DEFAULTS = {
  /** Replacement waits this long after a task ended (swarmkit `RestartPolicy.Delay`). */
  restartDelayMs: 5_000,
  /** How long a replacement waits for the old task to stop before it starts anyway. */
  oldTaskTimeoutMs: 60_000,
  /** Ended tasks kept per slot. */
  taskHistoryRetentionLimit: 5,
  updateParallelism: 1,
  updateDelayMs: 0,
  updateMonitorMs: 5_000,
  updateMaxFailureRatio: 0,
  stopGracePeriodMs: 10_000,
  /** A node stays down this long before its tasks are declared orphaned. */
  nodeDownOrphanMs: 24 * 3_600_000,
  nodeCertExpiryMs: 90 * 24 * 3_600_000,
  dynamicPortMin: 30_000,
  dynamicPortMax: 32_767,
  clusterPort: 2377,
  dataPathPort: 4789,
  /** Docker's 5 s, kept in the visible spec; ours is chosen from the cluster's size unless the user changes it. */
  heartbeatPeriodNs: 5_000_000_000,
} as const;
