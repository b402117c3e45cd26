import { setTimeout as delay } from 'node:timers/promises';
import { asSwarmdError } from '@swarmd/model';
import { startHosts, switchHost } from './hosts-cluster.js';
import { startOneNode } from './one-node.js';
import { readRequest } from './request.js';
import { createScreen, indent } from './screen.js';
import { stopQuickstart } from './stop.js';

/** Does what the command line asks for; resolves with the exit code. */
async function main(argv: readonly string[]): Promise<number> {
  const screen = createScreen(process.stdout, () => performance.now());
  try {
    const request = readRequest(argv);
    if (request.kind === 'stop') await stopQuickstart(screen, request.name);
    else if (request.kind === 'switch') await switchHost(screen, request.name, request.host, request.on);
    else if (request.kind === 'hosts') await startHosts(screen, request);
    else await startOneNode(screen, request);
    return 0;
  } catch (error) {
    const { code, message } = asSwarmdError(error);
    process.stderr.write(`\nThe quickstart stopped:\n${indent(message, '  ')}\n`);
    if (code === 'invalid-argument') process.stderr.write('See: npm run quickstart -- --help\n');
    else process.stderr.write('It can be run again as it is; npm run quickstart -- --stop removes what it made.\n');
    return code === 'invalid-argument' ? 2 : 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
await delay(0);
// Processes that were started go on without this one.
process.exit();
