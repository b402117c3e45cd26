import { globSync } from 'glob';
import { type FileResult, runFile } from './run-file.js';

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
}

/** A run of faults may be asked to take longer. */
const chaosMs = Number(process.env['CHAOS_MINUTES'] ?? 0) * 60_000;

const STAGES: readonly Stage[] = [
  {
    concurrency: 2,
    groups: [{ name: 'unit', patterns: ['packages/*/dist/test/**/*.test.js'], timeoutMs: 240_000 }],
  },
  { concurrency: 2, groups: [{ name: 'sim', patterns: ['test/dist/sim/**/*.test.js'], timeoutMs: 900_000 }] },
  // Hosts mostly wait for one another. The longest file comes first.
  {
    concurrency: 2,
    groups: [
      { name: 'compat', patterns: ['test/dist/compat/**/*.test.js'], timeoutMs: 900_000 },
      { name: 'e2e', patterns: ['test/dist/e2e/**/*.test.js'], timeoutMs: 900_000 },
    ],
  },
  {
    concurrency: 1,
    groups: [{ name: 'chaos', patterns: ['test/dist/chaos/**/*.test.js'], timeoutMs: 1_200_000 + chaosMs }],
  },
];
const GROUPS: readonly Group[] = STAGES.flatMap(({ groups }) => groups);

/** Runs the groups named in the arguments (all without any), prints what failed and one closing line. */
async function main(names: readonly string[]): Promise<number> {
  const unknown = names.filter((name) => !GROUPS.some((group) => group.name === name) && !name.endsWith('.js'));
  if (unknown.length > 0) {
    console.error(`no such test group: ${unknown.join(', ')}; there are: ${GROUPS.map((g) => g.name).join(', ')}`);
    return 2;
  }
  const results: FileResult[] = [];
  for (const { concurrency, groups } of STAGES) {
    const wanted = groups.filter(({ name }) => names.length === 0 || names.includes(name));
    results.push(...(await runStage(wanted, concurrency)));
  }
  for (const file of names.filter((name) => name.endsWith('.js'))) {
    results.push(await runAndTell(file, { name: 'file', timeoutMs: 900_000 }));
  }
  return report(results);
}

async function runStage(groups: readonly Group[], concurrency: number): Promise<FileResult[]> {
  const results: FileResult[] = [];
  const queue = groups.flatMap((group) =>
    globSync(group.patterns)
      .sort()
      .map((file) => ({ file, group })),
  );
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { file, group } = next;
      results.push(await runAndTell(file, group));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return results;
}

async function runAndTell(file: string, group: Pick<Group, 'name' | 'timeoutMs'>): Promise<FileResult> {
  const result = await runFile(file, group.timeoutMs);
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
