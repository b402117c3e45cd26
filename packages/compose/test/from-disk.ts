import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type LoadResult, loadCompose } from '../src/index.js';

/** Where the fixtures lie, seen from the compiled tests. */
export const FIXTURES = fileURLToPath(new URL('../../test/fixtures', import.meta.url));

/** A file's content, or undefined when it cannot be read. */
export function readFile(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

/** Loads files by path, relative to `directory`. */
export function loadFrom(directory: string, files: readonly string[], env: Record<string, string> = {}): LoadResult {
  const paths = files.map((file) => join(directory, file));
  return loadCompose({
    files: paths.map((path) => ({ path, content: readFileSync(path, 'utf8') })),
    env,
    projectDirectory: dirname(paths[0]!),
    readFile,
  });
}

/** Loads one file given as text; `others` are files beside it, in the directory /project. */
export function loadText(
  content: string,
  others: Record<string, string> = {},
  env: Record<string, string> = {},
  profiles: string[] = [],
): LoadResult {
  return loadCompose({
    files: [{ path: 'compose.yaml', content }],
    env,
    profiles,
    projectDirectory: '/project',
    readFile: (path) => others[path.replace('/project/', '')],
  });
}
