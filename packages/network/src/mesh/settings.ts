import { readFileSync, writeFileSync } from 'node:fs';
import type { Namespaces } from '../parts.js';

/** Value of a kernel setting, named by its path below `/proc/sys/net`; `undefined` when the kernel has none such. */
export function readSetting(namespaces: Namespaces, namespace: string, name: string): string | undefined {
  return namespaces.inside(namespace, () => {
    try {
      return readFileSync(`/proc/sys/net/${name}`, 'utf8').trim();
    } catch {
      return undefined;
    }
  });
}

/** Changes a kernel setting unless it has the value already; a kernel without IPv6 has none of its settings. */
export function writeSetting(namespaces: Namespaces, namespace: string, name: string, value: string): void {
  const current = readSetting(namespaces, namespace, name);
  if (current === value || (current === undefined && name.startsWith('ipv6/'))) return;
  namespaces.inside(namespace, () => writeFileSync(`/proc/sys/net/${name}`, value));
}
