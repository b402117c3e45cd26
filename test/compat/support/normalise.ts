import type { CommandResult } from '@swarmd/testkit';
import type { Step } from './scenario.js';

/** What one side answered, without what must differ: IDs, times, ages, keys. */
export interface Outcome {
  code: number;
  /** Parsed and with its keys in order when it was JSON, lines otherwise. */
  stdout: unknown;
  stderr: unknown;
}

/** Every fact of a result that the other side must share. */
export function normalise(result: CommandResult, step: Step): Outcome {
  return {
    code: result.code,
    stdout: normaliseOutput(result.stdout, step),
    stderr: normaliseText(result.stderr, step),
  };
}

/** Output as one text, for waiting on it. */
export function normalisedText(result: CommandResult, step: Step): string {
  return [...normaliseText(result.stdout, step), ...normaliseText(result.stderr, step)].join('\n');
}

function normaliseOutput(text: string, step: Step): unknown {
  const json = parseJson(text);
  return json === undefined ? normaliseText(text, step) : normaliseJson(json, '', step);
}

function parseJson(text: string): unknown {
  if (!/^\s*[[{"]/.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Order matters: a time holds digits that an ID could, a token holds IDs. */
const replacements: readonly (readonly [RegExp, string])[] = [
  [/SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}/g, '<token>'],
  [/SWMKEY-1-[0-9A-Za-z+/]{43}/g, '<key>'],
  [/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g, '<certificate>'],
  [/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?(Z|[+-]\d\d:?\d\d)( ?UTC)?)?/g, '<time>'],
  [/\b(Less than a second|About an? (minute|hour)|\d+ (second|minute|hour|day)s?) ago\b/gi, '<age>'],
  [/\b[0-9a-f]{64}\b/g, '<hash>'],
  [/\b[0-9a-z]{25}\b/g, '<id>'],
  // A shortened ID stands first in its line or has a digit: words of twelve letters have none.
  [/^[0-9a-z]{12}(?= |$)|\b(?=[a-z]*\d)[0-9a-z]{12}\b/gm, '<id>'],
  [/^( Issuer Public Key:\t).*/gm, '$1<key>'],
];

function normaliseText(text: string, step: Step): string[] {
  let lines = replaceAll(text, step)
    .split('\n')
    .map((line) => line.trimEnd().replace(/ {2,}/g, '  '));
  while (lines.at(-1) === '') lines.pop();
  if (step.lastLine) lines = lines.slice(-1);
  return step.anyOrder ? lines.sort() : lines;
}

function replaceAll(text: string, step: Step): string {
  let replaced = text;
  for (const [pattern, replacement] of replacements) replaced = replaced.replace(pattern, replacement);
  return step.anyNode ? replaced.replace(/\bh[123]\b/g, '<node>') : replaced;
}

/** Facts of a host, a process or a moment, by the end of their path. */
const incidental: readonly (readonly [RegExp, string])[] = [
  [/(^|\.)Version\.Index$/, '<index>'],
  [/\.(PID|Pid)$/, '<pid>'],
  [/\.TLSInfo\.(CertIssuerSubject|CertIssuerPublicKey)$/, '<bytes>'],
];

/** What a container has just been doing, if anything. */
const momentary = /\.(ExecIDs|Health\.Log)$/;

function normaliseJson(value: unknown, path: string, step: Step): unknown {
  const special = incidental.find(([pattern]) => pattern.test(path));
  if (special !== undefined && value) return special[1];
  if (momentary.test(path)) return '<momentary>';
  if (typeof value === 'string') return replaceAll(value, step).trimEnd();
  if (Array.isArray(value)) {
    const items = value.map((item) => normaliseJson(item, `${path}[]`, step));
    return step.anyOrder ? items.sort((a, b) => compareText(JSON.stringify(a), JSON.stringify(b))) : items;
  }
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).map(([key, item]) => {
    return [replaceAll(key, step), normaliseJson(item, `${path}.${key}`, step)] as const;
  });
  return Object.fromEntries(entries.sort(([a], [b]) => compareText(a, b)));
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
