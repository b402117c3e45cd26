import { asSwarmdError, VERSIONS } from '@swarmd/model';
import { type Logger, pino } from 'pino';
import { type NetConfig, readNetConfig } from './config.js';
import type { KernelPartsDeps } from './kernel-parts.js';
import { lockStateDir } from './state/lock.js';
import { type SwarmdNetOptions, startSwarmdNet } from './swarmd-net.js';
import { systemClock } from './system-clock.js';

/** Stopping takes no longer than this: whatever hangs is left to the kernel. */
const STOP_TIMEOUT_MS = 5000;

/** Runs swarmd-net on the kernel's side that `kernel` makes, until it is told to stop; resolves with the exit code. */
export async function runSwarmdNet(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  kernel: (deps: KernelPartsDeps) => SwarmdNetOptions['kernel'],
): Promise<number> {
  const version = VERSIONS.swarmd;
  let config: NetConfig;
  try {
    const invocation = readNetConfig(argv, env, version);
    if ('text' in invocation) {
      (invocation.exitCode === 0 ? process.stdout : process.stderr).write(`${invocation.text}\n`);
      return invocation.exitCode;
    }
    config = invocation.run;
  } catch (error) {
    process.stderr.write(`swarmd-net: ${asSwarmdError(error).message}\nSee 'swarmd-net --help'.\n`);
    return 2;
  }
  const logger = pino({ level: config.logLevel, base: undefined });
  endOnSurprise(logger);
  try {
    return await serve(config, version, logger, kernel);
  } catch (error) {
    const { message, code } = asSwarmdError(error);
    logger.fatal({ err: error, code }, message);
    process.stderr.write(`swarmd-net: ${message}\n`);
    return 1;
  }
}

async function serve(
  config: NetConfig,
  version: string,
  logger: Logger,
  kernel: (deps: KernelPartsDeps) => SwarmdNetOptions['kernel'],
): Promise<number> {
  const clock = systemClock();
  const lock = lockStateDir(config.stateDir);
  const ended = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        logger.info({ signal }, 'stopping; networks go on');
        resolve();
      });
    }
  });
  const { stateDir, runDir, pluginsDir } = config;
  const parts = kernel({ runDir, clock, logger });
  const net = await startSwarmdNet({ stateDir, runDir, pluginsDir, kernel: parts, clock, logger });
  logger.info({ version, stateDir }, 'swarmd-net is up');
  await ended;
  const timer = setTimeout(() => {
    logger.error('stopping took too long; giving up');
    process.exit(1);
  }, STOP_TIMEOUT_MS);
  await net.stop();
  lock.release();
  clearTimeout(timer);
  return 0;
}

/** What nobody expected leaves a state that nobody knows: it is logged, and the service manager starts it again. */
function endOnSurprise(logger: Logger): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      logger.fatal({ err: error, event }, 'swarmd-net ends: an error that nothing handles');
      process.exit(1);
    });
  }
}
