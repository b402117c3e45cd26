import { parseArgs } from 'node:util';
import { SwarmdError } from '@swarmd/model';
import { defaultLabName } from './places.js';

const maxHosts = 9;

/** What a command line of the quickstart asks for. */
export type Request =
  | { kind: 'one-node'; webPort: number }
  | { kind: 'hosts'; name: string; hosts: number; webPort: number }
  | { kind: 'switch'; name: string; host: string; on: boolean }
  | { kind: 'stop'; name: string };

const options = {
  hosts: { type: 'string' },
  port: { type: 'string', default: '8080' },
  name: { type: 'string', default: defaultLabName },
  kill: { type: 'string' },
  start: { type: 'string' },
  stop: { type: 'boolean', default: false },
  // Heeded by the script that starts this program.
  'no-build': { type: 'boolean', default: false },
} as const;

/** Reads a command line; `invalid-argument` names the flag and what it takes. */
export function readRequest(argv: readonly string[]): Request {
  let values: ReturnType<typeof parse>;
  try {
    values = parse(argv);
  } catch (error) {
    throw new SwarmdError('invalid-argument', (error as Error).message, { cause: error });
  }
  const { name } = values;
  const webPort = wholeNumber('--port', values.port, 65_535);
  if (values.stop) return { kind: 'stop', name };
  if (values.kill !== undefined) return { kind: 'switch', name, host: values.kill, on: false };
  if (values.start !== undefined) return { kind: 'switch', name, host: values.start, on: true };
  if (values.hosts === undefined) return { kind: 'one-node', webPort };
  return { kind: 'hosts', name, hosts: wholeNumber('--hosts', values.hosts, maxHosts), webPort };
}

function parse(argv: readonly string[]) {
  return parseArgs({ args: [...argv], options }).values;
}

function wholeNumber(flag: string, text: string, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new SwarmdError('invalid-argument', `${flag} takes a number from 1 to ${most}, not "${text}"`);
}
