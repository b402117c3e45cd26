/** The most that we put into one message, in bytes; a single object larger than this travels alone. */
export const MESSAGE_BYTES = 1 << 20;

/** The most that an agent takes in one message, in bytes (grpc-js's own default, said aloud). */
export const RECEIVE_BYTES = 4 << 20;

/**
 * What a manager takes in one message, before it knows who sends it, and from whom at once: agents send less than
 * {@link MESSAGE_BYTES}, and a stream for each log that somebody reads besides their session.
 */
export const SERVER_LIMITS = { receiveBytes: MESSAGE_BYTES, streamsPerConnection: 2_000 } as const;

/** A connection on which nothing is called is closed after this long; an agent's always has its session. */
export const IDLE_CONNECTION_MS = 60_000;

/** A silent connection is probed this often, and given up when the probe stays unanswered this long. */
export const KEEPALIVE_MS = { time: 10_000, timeout: 5_000 } as const;

/** Waiting between attempts to connect, doubling from the first to the last. */
export const RECONNECT_MS = { min: 100, max: 4_000 } as const;
