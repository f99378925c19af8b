// `npm test` is the tier `unit`; `.ci/run` adds the tier `system` and prints the `total` of both.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** What one tier came to. */
interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const root = dirname(import.meta.dirname);
const reports = join(root, 'reports');
const TIERS = ['unit', 'system'];

function run(program: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}): boolean {
  const done = spawnSync(program, args, {
    cwd: root,
    stdio: ['ignore', 1, 2],
    env: { ...process.env, ...environment },
  });
  return done.status === 0;
}

/** Counts of a vitest JSON report. A file that did not load, or a run that failed without a failed test, is a failure too. */
function readCounts(path: string, exitedWell: boolean): Counts {
  if (!existsSync(path)) return { passed: 0, failed: 1, skipped: 0 };
  const report = JSON.parse(readFileSync(path, 'utf8')) as {
    numPassedTests: number;
    numFailedTests: number;
    numPendingTests: number;
    numTodoTests: number;
    testResults: { status: string; assertionResults: unknown[]; name: string }[];
  };
  const unloaded = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  const failed = report.numFailedTests + unloaded.length;
  const sawNothing = report.numPassedTests + failed === 0;
  return {
    passed: report.numPassedTests,
    failed: failed === 0 && (sawNothing || !exitedWell) ? 1 : failed,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

function runVitest(tier: string, args: readonly string[], environment: Readonly<Record<string, string>>): Counts {
  const json = join(reports, `${tier}.json`);
  rmSync(json, { force: true });
  const outputs = [`--outputFile.junit=reports/${tier}.junit.xml`, `--outputFile.json=reports/${tier}.json`];
  const reporters = ['--reporter=default', '--reporter=junit', '--reporter=json'];
  const exitedWell = run('vitest', ['run', ...args, ...reporters, ...outputs], environment);
  return readCounts(json, exitedWell);
}

function runTier(tier: string): Counts {
  if (tier === 'unit') {
    const isClean = run(process.execPath, ['tools/check.ts']);
    const counts = runVitest(tier, ['--coverage'], {});
    return isClean ? counts : { ...counts, failed: counts.failed + 1 };
  }
  const counts = runVitest(tier, ['--config', 'tests/system/vitest.config.ts'], { X0_SYSTEM_TESTS: 'required' });
  return { ...counts, failed: counts.failed + counts.skipped };
}

function summaryPath(tier: string): string {
  return join(reports, `${tier}.summary.json`);
}

function readSummary(tier: string): Counts {
  if (!existsSync(summaryPath(tier))) return { passed: 0, failed: 1, skipped: 0 };
  return JSON.parse(readFileSync(summaryPath(tier), 'utf8')) as Counts;
}

function sum(all: readonly Counts[]): Counts {
  const add = (key: keyof Counts): number => all.reduce((total, each) => total + each[key], 0);
  return { passed: add('passed'), failed: add('failed'), skipped: add('skipped') };
}

function main(tier: string): void {
  mkdirSync(reports, { recursive: true });
  if (tier === 'total') {
    const { passed, failed } = sum(TIERS.map(readSummary));
    process.stdout.write(`${passed} passed, ${failed} failed\n`);
    process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
    return;
  }
  rmSync(summaryPath(tier), { force: true });
  const counts = runTier(tier);
  writeFileSync(summaryPath(tier), JSON.stringify(counts));
  const notRun = tier === 'unit' ? ' (tier system not run here: .ci/run runs it)' : '';
  process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped${notRun}\n`);
  process.exitCode = counts.failed > 0 ? 1 : 0;
}

const tier = process.argv[2] ?? 'unit';
if (![...TIERS, 'total'].includes(tier)) throw new Error(`no tier ${tier}; there are ${TIERS.join(', ')} and total`);
main(tier);
