/** A story that both sides go through, step by step, from whatever state the one before left. */
export interface Scenario {
  name: string;
  /** Later scenarios build on it: never left out. */
  always?: boolean;
  steps: readonly Step[];
}

/** One command whose exit code and output must be the same on both sides. */
export interface Step {
  /** Arguments of the docker CLI; a string is split at spaces. `${name}` is replaced by what `keep` kept. */
  run?: string | readonly string[];
  /** Instead of `run`: `METHOD /path` of the Docker Engine API. */
  call?: string;
  /** Body of `call`; a string is sent as it is. */
  body?: unknown;
  /** Instead of `run`: stops what serves the API on the host, and starts it again. */
  restart?: true;
  /** 1 to 3; 1 unless told. */
  host?: number;
  /** Standard input; filled in like `run`. */
  input?: string;
  /** Repeated until the normalised output matches, and then compared; a bound of some seconds ends the wait. */
  until?: RegExp;
  /** Keeps the output, trimmed, under this name. */
  keep?: string;
  /** Where tasks lie, or which of them, is free: names of nodes are not compared. */
  anyNode?: boolean;
  /** The order of lines is free. */
  anyOrder?: boolean;
  /** Only the last line is compared: how often progress is shown depends on time. */
  lastLine?: boolean;
}
