const UNIT_NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Nanoseconds of a duration as Go writes it: `300ms`, `-1.5h`, `2h45m`, `0`. Throws an Error in Go's words. */
export function parseDurationNs(text: string): number {
  const quoted = JSON.stringify(text);
  const match = /^([-+]?)(.*)$/s.exec(text)!;
  const rest = match[2]!;
  if (rest === '0') return 0;
  if (rest === '') throw new Error(`time: invalid duration ${quoted}`);
  let ns = 0;
  let position = 0;
  while (position < rest.length) {
    const part = /^(\d+\.?\d*|\.\d+)([^\d.]*)/.exec(rest.slice(position));
    if (part === null) throw new Error(`time: invalid duration ${quoted}`);
    const unit = part[2]!;
    if (unit === '') throw new Error(`time: missing unit in duration ${quoted}`);
    const factor = UNIT_NS[unit];
    if (factor === undefined) throw new Error(`time: unknown unit ${JSON.stringify(unit)} in duration ${quoted}`);
    ns += Number(part[1]) * factor;
    position += part[0].length;
  }
  if (!Number.isSafeInteger(Math.round(ns)) && ns > 2 ** 63) throw new Error(`time: invalid duration ${quoted}`);
  return Math.round(match[1] === '-' ? -ns : ns);
}

/** A duration in nanoseconds as Go prints it: `1.5s`, `2h0m0s`, `0s`. */
export function formatDurationNs(ns: number): string {
  if (ns === 0) return '0s';
  const sign = ns < 0 ? '-' : '';
  const size = Math.abs(ns);
  if (size < 1e3) return `${sign}${size}ns`;
  if (size < 1e6) return `${sign}${trimmed(size / 1e3)}µs`;
  if (size < 1e9) return `${sign}${trimmed(size / 1e6)}ms`;
  const hours = Math.floor(size / 3600e9);
  const minutes = Math.floor((size % 3600e9) / 60e9);
  const seconds = (size % 60e9) / 1e9;
  const head = hours > 0 ? `${hours}h${minutes}m` : minutes > 0 ? `${minutes}m` : '';
  return `${sign}${head}${trimmed(seconds)}s`;
}

function trimmed(value: number): string {
  return String(Number(value.toFixed(9)));
}

const HOURS_PER_DAY = 24;

/** A length of time for people, in the docker CLI's words: `About a minute`, `3 days`. */
export function humanDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 1) return 'Less than a second';
  if (seconds === 1) return '1 second';
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 1) return 'About a minute';
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.floor(seconds / 3600 + 0.5);
  if (hours === 1) return 'About an hour';
  if (hours < 2 * HOURS_PER_DAY) return `${hours} hours`;
  if (hours < 14 * HOURS_PER_DAY) return `${Math.floor(hours / HOURS_PER_DAY)} days`;
  if (hours < 60 * HOURS_PER_DAY) return `${Math.floor(hours / HOURS_PER_DAY / 7)} weeks`;
  if (hours < 730 * HOURS_PER_DAY) return `${Math.floor(hours / HOURS_PER_DAY / 30)} months`;
  return `${Math.floor(seconds / 3600 / HOURS_PER_DAY / 365)} years`;
}

/** A time in RFC 3339 as the docker CLI's `--pretty` shows it: `2026-11-23 03:08:34.918 +0000 utc`. */
export function prettyTime(time: string): string {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d+))?Z$/.exec(time);
  if (match === null) return time;
  const fraction = (match[3] ?? '').replace(/0+$/, '');
  return `${match[1]} ${match[2]}${fraction === '' ? '' : `.${fraction}`} +0000 utc`;
}
