import { SwarmdError } from '@swarmd/model';

/** Where something was written: the file as it was named, lines and columns counted from 1. */
export interface Position {
  file: string;
  line: number;
  column: number;
}

/**
 * How much a problem matters:
 * - `info`: nothing is lost (an obsolete key, a default that was taken);
 * - `warning`: the stack runs, but not quite as the file says;
 * - `error`: what would run contradicts the file (or cannot run at all); a deploy should refuse unless it is told to go on.
 */
export type Severity = 'info' | 'warning' | 'error';

/** Something that a person should know about their file. `path` is dotted: `services.web.ports[0].host_ip`. */
export interface Problem {
  path: string;
  message: string;
  severity: Severity;
  /** Where the key stands, when it is known. */
  at?: Position;
}

/** Where problems are put as they are found. */
export type Report = (problem: Problem) => void;

/** `file:line:column`, as editors and terminals make it clickable. */
export function formatPosition(at: Position): string {
  return `${at.file}:${at.line}:${at.column}`;
}

/** One line for people: `services.web.build (compose.yaml:4:5): …`. */
export function formatProblem(problem: Problem): string {
  const where = problem.at === undefined ? '' : ` (${formatPosition(problem.at)})`;
  return `${problem.path === '' ? 'top level' : problem.path}${where}: ${problem.message}`;
}

/** The error for a file that cannot be loaded: `invalid-argument`, naming path and position. */
export function composeError(path: string, message: string, at?: Position): SwarmdError {
  return composeErrors([{ path, message, severity: 'error', ...(at === undefined ? {} : { at }) }]);
}

const SHOWN_PROBLEMS = 20;

/** One error for several problems, one a line, at most 20 of them spelled out. `problems` must not be empty. */
export function composeErrors(problems: readonly Problem[]): SwarmdError {
  const lines = problems.slice(0, SHOWN_PROBLEMS).map(formatProblem);
  if (problems.length > SHOWN_PROBLEMS) lines.push(`… and ${problems.length - SHOWN_PROBLEMS} more`);
  return new SwarmdError('invalid-argument', lines.join('\n'), { field: problems[0]?.path ?? '' });
}
