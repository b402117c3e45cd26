/** The most that we put into one message, in bytes; a single object larger than this travels alone. */
export const MESSAGE_BYTES = 1 << 20;

/** The most that either side takes in one message, in bytes (grpc-js's own default, said aloud). */
export const RECEIVE_BYTES = 4 << 20;

/** A silent connection is probed this often, and given up when the probe stays unanswered this long. */
export const KEEPALIVE_MS = { time: 10_000, timeout: 5_000 } as const;

/** Waiting between attempts to connect, doubling from the first to the last. */
export const RECONNECT_MS = { min: 100, max: 4_000 } as const;
