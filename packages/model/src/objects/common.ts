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

/** Milliseconds of a Docker duration in nanoseconds, or `fallbackMs` when it is absent. */
export function durationMs(ns: number | null | undefined, fallbackMs: number): number {
  return ns === null || ns === undefined ? fallbackMs : ns / NS_PER_MS;
}
