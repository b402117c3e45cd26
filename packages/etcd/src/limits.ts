/** How long an etcd member may take to answer before it counts as gone, in milliseconds. */
export const ETCD_CALL_TIMEOUT_MS = 5_000;
