import process from 'node:process';
import { streamScreen } from './output/screen.js';
import { INTERRUPTED } from './program/errors.js';
import { run } from './program/run.js';

/** How long a command may take to say goodbye after Ctrl-C. */
const INTERRUPT_GRACE_MS = 1_000;

const interrupt = new AbortController();
process.on('SIGINT', () => {
  // A second Ctrl-C ends a command that does not heed the first.
  if (interrupt.signal.aborted) process.exit(INTERRUPTED);
  interrupt.abort();
  // A read of the terminal heeds nothing.
  setTimeout(() => process.exit(INTERRUPTED), INTERRUPT_GRACE_MS).unref();
});
// `swarmctl … | head` closes the pipe: that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

process.exitCode = await run(process.argv.slice(2), {
  stdout: streamScreen(process.stdout),
  stderr: streamScreen(process.stderr),
  stdin: process.stdin,
  env: process.env,
  directory: process.cwd(),
  signal: interrupt.signal,
  now: () => Date.now(),
});
