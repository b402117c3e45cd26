import { formatProblem, loadCompose, type Problem, type Stack, toStack } from '@swarmd/compose';
import { isErrorCode } from '@swarmd/model';
import { getInfo } from '../../client/resources.js';
import { type Command, type CommandContext, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { bool, list, strings, text } from '../../program/flag-types.js';
import { followStack } from '../../progress/follow-stack.js';
import { checkObjects, createMissingNetworks, putObjects } from './deploy-objects.js';
import { deployServices, RESOLVE_MODES } from './deploy-services.js';
import { fileReader, readSources } from './files.js';
import { prune } from './prune.js';

/** `--compose-file`. */
export const composeFileFlag = strings('Path to a Compose file, or "-" to read from stdin', { short: 'c' });
/** `--env-file`. */
export const stackEnvFileFlag = list('Read variables for the Compose file from a file (default: .env beside it)');

/** `stack deploy`. */
export const stackDeploy: Command = command({
  name: 'deploy',
  aliases: ['up'],
  summary: 'Deploy a new stack or update an existing stack',
  synopsis: 'STACK',
  arity: 1,
  argument: 'stack',
  flags: {
    'compose-file': composeFileFlag,
    detach: bool('Exit immediately instead of waiting for the stack services to converge', { short: 'd' }),
    'env-file': stackEnvFileFlag,
    'ignore-unsupported': bool('Deploy even where the cluster would do something else than the Compose file says'),
    prune: bool('Prune services, networks, secrets and configs that are no longer referenced'),
    quiet: bool('Suppress progress output', { short: 'q' }),
    'resolve-image': text(
      'Query the registry to resolve image digest and supported platforms ("always", "changed", "never")',
      {
        defaultText: '"always"',
        words: RESOLVE_MODES,
      },
    ),
    'with-registry-auth': bool('Send registry authentication details to Swarm agents'),
  },
  async run(context, { flags, args }) {
    const namespace = checkNamespace(args[0]!);
    const resolveImage = RESOLVE_MODES.find((mode) => mode === (flags['resolve-image'] ?? 'always'));
    if (resolveImage === undefined) {
      throw new CommandError(`Invalid option ${flags['resolve-image']} for flag --resolve-image`);
    }
    const stack = await loadStack(context, namespace, flags);
    await requireManager(context);
    const existing = await checkObjects(context, stack);
    await createMissingNetworks(context, stack);
    const secrets = await putObjects(context, 'secret', stack.secrets, existing.secrets);
    const configs = await putObjects(context, 'config', stack.configs, existing.configs);
    const options = { resolveImage, withAuth: flags['with-registry-auth'], secrets, configs };
    const expectations = await deployServices(context, stack, options);
    if (flags.prune) await prune(context, stack);
    return flags.detach ? 0 : followStack(context, namespace, expectations, { quiet: flags.quiet });
  },
});

function checkNamespace(namespace: string): string {
  if (/^[^'"]*\S[^'"]*$/.test(namespace)) return namespace;
  throw new CommandError(`invalid stack name: ${JSON.stringify(namespace)}`);
}

/** Loads and converts the Compose files; says on stderr what cannot be honoured, and refuses errors. */
async function loadStack(
  context: CommandContext,
  namespace: string,
  flags: { 'compose-file': string[]; 'env-file': string[]; 'ignore-unsupported': boolean },
): Promise<Stack> {
  const sources = await readSources(context, { composeFiles: flags['compose-file'], envFiles: flags['env-file'] });
  let stack: Stack;
  let problems: Problem[];
  try {
    const { project, warnings } = loadCompose({ ...sources, readFile: fileReader() });
    stack = toStack(project, { namespace });
    problems = [...warnings, ...stack.warnings];
  } catch (thrown) {
    if (isErrorCode(thrown, 'invalid-argument')) throw new CommandError(thrown.message);
    throw thrown;
  }
  const errors = problems.filter(({ severity }) => severity === 'error');
  const tolerated = flags['ignore-unsupported'];
  for (const problem of problems) {
    if (problem.severity === 'warning' || (problem.severity === 'error' && tolerated)) {
      context.err.write(`${formatProblem(problem)}\n`);
    }
  }
  if (errors.length > 0 && !tolerated) {
    const hint = 'Use --ignore-unsupported to deploy all the same.';
    throw new CommandError([...errors.map(formatProblem), hint].join('\n'));
  }
  return stack;
}

/** Throws CommandError in the docker CLI's words when the daemon is no manager. */
async function requireManager({ client }: CommandContext): Promise<void> {
  const { Swarm } = await getInfo(client);
  if (Swarm.ControlAvailable !== true) {
    throw new CommandError(
      'this node is not a swarm manager. Use "swarmctl init" or "swarmctl join" to connect this node to swarm and try again',
    );
  }
}
