import process from 'node:process';
import { streamScreen } from './output/screen.js';
import { run } from './program/run.js';

const interrupt = new AbortController();
process.on('SIGINT', () => {
  // A second Ctrl-C ends a command that does not heed the first.
  if (interrupt.signal.aborted) process.exit(130);
  interrupt.abort();
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
