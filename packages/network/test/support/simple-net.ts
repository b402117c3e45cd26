import { runSwarmdNet } from '../../src/run.js';
import { simpleParts } from './simple-plane.js';

/** swarmd-net with the kernel's side of the driver's tests, whose log is the first argument. */
const [logFile = '', ...argv] = process.argv.slice(2);
process.exitCode = await runSwarmdNet(argv, process.env, () => () => simpleParts(logFile));
process.exit();
