import { basename } from 'node:path';
import { globSync } from 'glob';
import { type FileResult, type RunOptions, runFile } from './run-file.js';

/** A kind of test: where its compiled files are, and how long one file may take. */
interface Group {
  name: string;
  patterns: string[];
  timeoutMs: number;
}

/** Groups whose files are run side by side, so many at a time; the stages follow one another. */
interface Stage {
  concurrency: number;
  groups: readonly Group[];
  /** Files that take longest, by name: they are begun first, so that all come to their end at about the same time. */
  longest: readonly string[];
}

/** A run of faults may be asked to take longer. */
const chaosMs = Number(process.env['CHAOS_MINUTES'] ?? 0) * 60_000;

/** Hosts mostly wait for one another, but three files at a time stall each other for seconds on two processors. */
const hostFiles = Number(process.env['TEST_HOST_FILES'] ?? 2);

const STAGES: readonly Stage[] = [
  {
    concurrency: 2,
    groups: [{ name: 'unit', patterns: ['packages/*/dist/test/**/*.test.js'], timeoutMs: 240_000 }],
    longest: ['driver-engines', 'plain-containers', 'hosts', 'etcd-shared', 'cluster', 'swarmd-net', 'maintenance'],
  },
  {
    concurrency: hostFiles,
    groups: [
      { name: 'compat', patterns: ['test/dist/compat/**/*.test.js'], timeoutMs: 900_000 },
      { name: 'e2e', patterns: ['test/dist/e2e/**/*.test.js'], timeoutMs: 900_000 },
      { name: 'chaos', patterns: ['test/dist/chaos/**/*.test.js'], timeoutMs: 1_200_000 + chaosMs },
    ],
    longest: [
      ...['docker-cli', 'networks-failures', 'upgrade', 'networks-ipv6', 'chaos', 'failover', 'networks', 'recover'],
      ...['external-etcd', 'firewalls', 'user-stack', 'agent-networks', 'backup', 'managers', 'managers-leave'],
      ...['node-failure', 'autolock', 'ca-rotation', 'networks-diagnosis', 'quickstart', 'data-key', 'joining'],
    ],
  },
];
/** Needs nothing but the processor, and no time passes in it: it takes what the stages leave of it, from first to last. */
const BACKGROUND: Group = { name: 'sim', patterns: ['test/dist/sim/**/*.test.js'], timeoutMs: 3_600_000 };
const GROUPS: readonly Group[] = [...STAGES.flatMap(({ groups }) => groups), BACKGROUND];

/** Runs the groups named in the arguments (all without any), prints what failed and one closing line. */
async function main(names: readonly string[]): Promise<number> {
  const unknown = names.filter((name) => !GROUPS.some((group) => group.name === name) && !name.endsWith('.js'));
  if (unknown.length > 0) {
    console.error(`no such test group: ${unknown.join(', ')}; there are: ${GROUPS.map((g) => g.name).join(', ')}`);
    return 2;
  }
  const asked = ({ name }: Group): boolean => names.length === 0 || names.includes(name);
  const results: FileResult[] = [];
  const background = runAll(filesOf([BACKGROUND].filter(asked)), 1, { lowPriority: true });
  for (const { concurrency, groups, longest } of STAGES)
    results.push(...(await runAll(longestFirst(filesOf(groups.filter(asked)), longest), concurrency)));
  results.push(...(await background));
  for (const file of names.filter((name) => name.endsWith('.js'))) {
    results.push(await runAndTell(file, { name: 'file', timeoutMs: 900_000 }));
  }
  return report(results);
}

/** A compiled test file, and the group it belongs to. */
interface GroupFile {
  file: string;
  group: Group;
}

function filesOf(groups: readonly Group[]): GroupFile[] {
  return groups.flatMap((group) =>
    globSync(group.patterns)
      .sort()
      .map((file) => ({ file, group })),
  );
}

function longestFirst(files: readonly GroupFile[], longest: readonly string[]): GroupFile[] {
  const placeOf = ({ file }: GroupFile): number => {
    const place = longest.indexOf(basename(file, '.test.js'));
    return place === -1 ? longest.length : place;
  };
  return [...files].sort((a, b) => placeOf(a) - placeOf(b));
}

async function runAll(
  files: readonly GroupFile[],
  concurrency: number,
  options: RunOptions = {},
): Promise<FileResult[]> {
  const results: FileResult[] = [];
  const queue = [...files];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { file, group } = next;
      results.push(await runAndTell(file, group, options));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return results;
}

async function runAndTell(
  file: string,
  group: Pick<Group, 'name' | 'timeoutMs'>,
  options: RunOptions = {},
): Promise<FileResult> {
  const result = await runFile(file, group.timeoutMs, options);
  const verdict = result.failed > 0 ? 'FAILED' : 'ok';
  const tookS = (result.durationMs / 1000).toFixed(1);
  console.log(`[${group.name}] ${verdict} ${file.replace('/dist/', '/')} (${result.passed} passed, ${tookS} s)`);
  for (const failure of result.failures) console.log(failure.replace(/^/gm, '    '));
  return result;
}

function report(results: readonly FileResult[]): number {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const result of results) {
    total.passed += result.passed;
    total.failed += result.failed;
    total.skipped += result.skipped.length;
    for (const skip of result.skipped) console.log(`skipped: ${skip.name}${skip.reason ? `: ${skip.reason}` : ''}`);
  }
  if (total.failed > 0) {
    console.log('Files with failures:');
    for (const result of results) if (result.failed > 0) console.log(`  ${result.file.replace('/dist/', '/')}`);
  }
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
  console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
  return total.failed > 0 || total.passed === 0 ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2));
