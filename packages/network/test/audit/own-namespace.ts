import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../../src/audit/command.js';

/** Whether network namespaces can be made here; a reason for skipping otherwise. */
export const noNamespaces = process.getuid?.() === 0 ? false : 'network namespaces need root';

/**
 * Runs the test file at `url` once more, in a network namespace of its own, and ends as that does: true for the one
 * that is inside. Whatever it does to links and rules goes with it.
 */
export function inOwnNamespace(url: string): boolean {
  if (noNamespaces !== false || process.env['SWARMD_TEST_NAMESPACE'] === 'own') return true;
  const argv = ['--net', process.execPath, fileURLToPath(url)];
  const env = { ...process.env, SWARMD_TEST_NAMESPACE: 'own' };
  const { status } = spawnSync('unshare', argv, { stdio: 'inherit', env });
  process.exitCode = status ?? 1;
  return false;
}

/** Runs lines of a shell script; throws with what it printed when one fails. */
export async function script(lines: string): Promise<string> {
  const { code, stdout, stderr } = await runCommand(['bash', '-euc', lines]);
  if (code !== 0) throw new Error(`${lines}\n${stdout}${stderr}`);
  return stdout;
}
