import { mkdir } from 'node:fs/promises';
import { createApi } from '@swarmd/api';
import { asSwarmdError, type LocalNodeInfo, type SwarmdError, VERSIONS } from '@swarmd/model';
import { type Logger, pino } from 'pino';
import { startBackupSchedule } from './backup-schedule.js';
import { type DaemonConfig, readConfig } from './config.js';
import { lockDataDir } from './data-dir-lock.js';
import { createMembership } from './membership.js';
import { keepNetworkProcess } from './network-process.js';
import { systemClock, systemRandom } from './system-ports.js';

/** Stopping takes no longer than this: whatever hangs is left to the kernel. */
const STOP_TIMEOUT_MS = 25_000;

/** Runs swarmd until it is told to stop; resolves with the exit code. */
async function main(): Promise<number> {
  const version = VERSIONS.swarmd;
  let config: DaemonConfig;
  try {
    const invocation = readConfig(process.argv.slice(2), process.env, version);
    if ('text' in invocation) {
      (invocation.exitCode === 0 ? process.stdout : process.stderr).write(`${invocation.text}\n`);
      return invocation.exitCode;
    }
    config = invocation.run;
  } catch (error) {
    process.stderr.write(`swarmd: ${asSwarmdError(error).message}\nSee 'swarmd --help'.\n`);
    return 2;
  }
  const logger = pino({
    level: config.logLevel,
    base: undefined,
    redact: [
      '*.JoinToken',
      '*.token',
      '*.RegistryAuth',
      '*.registryAuth',
      '*.keyPem',
      '*.Data',
      '*.UnlockKey',
      '*.unlockKey',
    ],
  });
  endOnSurprise(logger);
  try {
    return await serve(config, version, logger);
  } catch (error) {
    const { message, code } = asSwarmdError(error);
    logger.fatal({ err: error, code }, message);
    process.stderr.write(`swarmd: ${message}\n`);
    return 1;
  }
}

async function serve(config: DaemonConfig, version: string, logger: Logger): Promise<number> {
  const lock = await lockDataDir(config.dataDir);
  const ports = { clock: systemClock(), random: systemRandom(), logger };
  let end = (_exitCode: number): void => {};
  const ended = new Promise<number>((resolve) => {
    end = resolve;
  });
  const onStoreFailure = (reason: SwarmdError): void => {
    logger.fatal(
      { code: reason.code },
      `${reason.message}; swarmd ends: started again, it takes up what is on the disk`,
    );
    end(1);
  };
  const membership = createMembership({ config, ports, version, onStoreFailure });
  const { backup } = config;
  const schedule = backup && startBackupSchedule({ config: backup, control: () => membership.control(), ...ports });
  const info = (): LocalNodeInfo => withWarnings(membership.info(), schedule?.warnings() ?? []);
  const api = createApi({ membership: { ...membership, info }, engineSocket: config.engineSocket, logger });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      logger.info({ signal }, 'stopping; containers go on');
      end(0);
    });
  }
  await mkdir(config.runDir, { recursive: true });
  const network = await keepNetworkProcess(config, {
    clock: ports.clock,
    logger: logger.child({ component: 'network' }),
  });
  await membership.resume();
  await api.listen(config.hostSocket, { group: config.group });
  logger.info({ version, dataDir: config.dataDir, engine: config.engineSocket }, 'swarmd is up');
  const exitCode = await ended;
  const timer = setTimeout(() => {
    logger.error('stopping took too long; giving up');
    process.exit(1);
  }, STOP_TIMEOUT_MS);
  // Another manager leads before this one is gone; what clients wait for here is done there, and answered.
  await membership.handOver();
  await api.close();
  await schedule?.stop();
  await membership.stop();
  await network.stop();
  await lock.release();
  clearTimeout(timer);
  return exitCode;
}

function withWarnings(info: LocalNodeInfo, warnings: readonly string[]): LocalNodeInfo {
  return warnings.length === 0 ? info : { ...info, Warnings: [...(info.Warnings ?? []), ...warnings] };
}

/** What nobody expected leaves a state that nobody knows: it is logged, and the service manager starts swarmd again. */
function endOnSurprise(logger: Logger): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      logger.fatal({ err: error, event }, 'swarmd ends: an error that nothing handles');
      process.exit(1);
    });
  }
}

process.exitCode = await main();
// Nothing that is left may keep a stopped daemon alive.
process.exit();
