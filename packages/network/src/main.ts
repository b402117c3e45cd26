import { createKernelParts } from './kernel-parts.js';
import { runSwarmdNet } from './run.js';

process.exitCode = await runSwarmdNet(process.argv.slice(2), process.env, createKernelParts);
// Nothing that is left may keep a stopped process alive.
process.exit();
