import type { Report, Severity } from '../problem.js';
import type { Project } from '../project/types.js';

/** Reports on one key of one service. */
export type ServiceReport = (key: string, severity: Severity, message: string) => void;

/** A report for `services.<name>.<key>` that knows where the key stands. Of equal reports only the first is kept. */
export function serviceReport(project: Project, name: string, report: Report): ServiceReport {
  const seen = new Set<string>();
  return (key, severity, message) => {
    const path = `services.${name}.${key}`;
    const at = project.positions.get(`services.${name}.${key.split('.')[0]}`);
    if (seen.has(`${path}\n${message}`)) return;
    seen.add(`${path}\n${message}`);
    report({ path, severity, message, ...(at === undefined ? {} : { at }) });
  };
}
