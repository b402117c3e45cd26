import { z } from 'zod';

/** Free-form string pairs. */
export const LabelsSchema = z.record(z.string(), z.string());
/** Free-form string pairs. */
export type Labels = z.infer<typeof LabelsSchema>;

/**
 * The value of a label, `undefined` when there is none by that name: names come from users, and every object has a
 * `constructor`. An engine may report labels of its own making: what is no text is no label.
 */
export function labelValue(labels: Labels | null | undefined, name: string): string | undefined {
  if (labels === null || labels === undefined || !Object.hasOwn(labels, name)) return undefined;
  const value: unknown = labels[name];
  return typeof value === 'string' ? value : undefined;
}

/** The store index at which an object's spec last changed (Docker's `Version.Index`). It only grows. */
export const VersionSchema = z.looseObject({ Index: z.number().int().nonnegative() });
/** The store index at which an object's spec last changed. */
export type Version = z.infer<typeof VersionSchema>;

/** What every stored object has. Times are RFC 3339 in UTC. */
export interface StoredObject {
  ID: string;
  Version: Version;
  CreatedAt: string;
  UpdatedAt: string;
}

/** Name and options of a driver (logging, volume, network). */
export const DriverSchema = z.looseObject({
  Name: z.string().optional(),
  Options: z.record(z.string(), z.string()).nullish(),
});
/** Name and options of a driver. */
export type Driver = z.infer<typeof DriverSchema>;

/** Nanoseconds, as the Docker Engine API gives durations. */
export const DurationNsSchema = z.number().int();

/** One nanosecond count per millisecond: Docker's durations are nanoseconds, ours milliseconds. */
export const NS_PER_MS = 1_000_000;

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Milliseconds of a duration as in labels, such as `10s`, `1m30s` or `500ms`; `undefined` when it is none. `0` needs no unit. */
export function parseDurationMs(text: string): number | undefined {
  if (text === '0') return 0;
  if (!/^(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/([0-9.]+)(ms|s|m|h)/g)) total += Number(amount) * UNITS_MS[unit!]!;
  return total;
}

/** Milliseconds of a Docker duration in nanoseconds, or `fallbackMs` when it is absent. */
export function durationMs(ns: number | null | undefined, fallbackMs: number): number {
  return ns === null || ns === undefined ? fallbackMs : ns / NS_PER_MS;
}
