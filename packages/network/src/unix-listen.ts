import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import type { FastifyInstance } from 'fastify';

/** Serves on a unix socket that only root can use; one that is left of an earlier process is removed. */
export async function listenUnix(app: FastifyInstance, path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  rmSync(path, { force: true });
  try {
    await app.listen({ path });
  } catch (error) {
    throw new SwarmdError('unavailable', `cannot serve on ${path}: ${(error as Error).message}`, { cause: error });
  }
  chmodSync(path, 0o600);
}
