import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AnyObject, Clock, Log, NewObject, ReadView, Service, TableName, Task } from '@swarmd/model';
import { TABLE_NAMES } from '@swarmd/model';
import { pino } from 'pino';

/** A logger that writes nothing. */
export const silent = pino({ level: 'silent' });

/** A clock that advances one millisecond with each reading. */
export function steppingClock(startMs = Date.UTC(2026, 0, 1)): Clock {
  let now = startMs;
  return { now: () => now++, monotonic: () => now, after: () => () => {} };
}

/** A task to create. */
export function newTask(id: string, fields: Partial<Task> = {}): NewObject<Task> {
  return {
    ID: id,
    ServiceID: 's1',
    SpecVersion: 1,
    Slot: 1,
    NodeID: '',
    DesiredState: 'running',
    Status: { Timestamp: '2026-01-01T00:00:00.000000000Z', State: 'new', Message: 'created' },
    ServiceName: 'web',
    ...fields,
  };
}

/** A service to create, named like its ID unless told otherwise. */
export function newService(id: string, fields: Partial<Service> = {}): NewObject<Service> {
  return { ID: id, Spec: { Name: id }, SpecVersion: 1, ...fields };
}

/** A task as a log holds it. */
export function storedTask(id: string, index: number, fields: Partial<Task> = {}): Task {
  const time = '2026-01-01T00:00:00.000000000Z';
  return { ...newTask(id, fields), Version: { Index: index }, CreatedAt: time, UpdatedAt: time };
}

/** An object of any shape, for logs, which do not look inside. */
export function anyObject(id: string, index: number, fields: object = {}): AnyObject {
  return { ...storedTask(id, index), ...fields };
}

/** What a log or store holds, as one object to compare: `table/id` → object. */
export type Content = Record<string, AnyObject>;

/** Everything that a view shows. */
export function contentOf(view: ReadView): Content {
  const content: Content = {};
  for (const table of TABLE_NAMES) for (const object of view.all(table)) content[`${table}/${object.ID}`] = object;
  return content;
}

/** Everything that a log replays, and the index that it replays to. */
export async function replayed(log: Log): Promise<{ index: number; content: Content }> {
  const content: Content = {};
  const { index } = await log.replay((table: TableName, key, value) => {
    if (`${table}/${key}` in content) throw new Error(`${table}/${key} came twice`);
    content[`${table}/${key}`] = value;
  });
  return { index, content };
}

/** A directory that goes when the test ends. */
export async function temporaryDirectory(t: { after: (fn: () => unknown) => void }): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'swarmd-store-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}
