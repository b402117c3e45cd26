/**
 * Compose files → specs. `loadCompose` reads files into a typed project by the Compose Specification; `toStack` turns a
 * project into what a cluster runs, as `docker stack deploy` does. No I/O but the `readFile` that is handed in.
 */
export { type LoadInput, type LoadResult, loadCompose } from './load.js';
export { formatPosition, formatProblem, type Position, type Problem, type Severity } from './problem.js';
export { FileContent } from './project/content.js';
export { type EnvFile, type EnvFileFault, parseEnvFile } from './project/env-file.js';
export type { ReadFile } from './project/read-resources.js';
export type * from './project/types.js';
export { STACK_IMAGE_LABEL, STACK_NAMESPACE_LABEL } from './stack/namespace.js';
export type { StackConfig, StackSecret } from './stack/objects.js';
export { type Stack, type StackVolume, toStack } from './stack/to-stack.js';
export type { Env } from './syntax/interpolate.js';
export type { Plain } from './syntax/tree.js';
