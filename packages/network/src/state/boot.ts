import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * What tells this boot of the host from others: the kernel's ID, and a mark in `runDir`, which does not outlive a boot
 * either. A host that is only namespaces of another one has nothing but the mark.
 */
export function readBootId(runDir: string): string {
  const kernel = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return `${kernel}/${readMark(runDir)}`;
}

function readMark(runDir: string): string {
  const path = join(runDir, 'net.boot');
  try {
    return readFileSync(path, 'utf8');
  } catch {
    const mark = randomBytes(8).toString('hex');
    mkdirSync(runDir, { recursive: true, mode: 0o755 });
    writeFileSync(path, mark, { mode: 0o600 });
    return mark;
  }
}
