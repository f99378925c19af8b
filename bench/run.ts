/** Runs the benchmarks and prints a table; `npm run bench -- [SCENARIO…]`. Everything also goes to reports/bench.json. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { type Figure, isMet, NotMeasured, type Scenario } from './lib/figure.ts';
import { api } from './scenarios/api.ts';
import { controlMemory } from './scenarios/control-memory.ts';
import { cost } from './scenarios/cost.ts';
import { crowd } from './scenarios/crowd.ts';
import { decisions } from './scenarios/decisions.ts';
import { detection } from './scenarios/detection.ts';
import { isolation } from './scenarios/isolation.ts';
import { join } from './scenarios/join.ts';
import { latency } from './scenarios/latency.ts';
import { memory } from './scenarios/memory.ts';
import { narrow } from './scenarios/narrow.ts';
import { policyChange } from './scenarios/policy-change.ts';
import { policyStreams } from './scenarios/policy-streams.ts';
import { revocation } from './scenarios/revocation.ts';
import { saturation } from './scenarios/saturation.ts';
import { startup } from './scenarios/startup.ts';
import { throughput } from './scenarios/throughput.ts';

const SCENARIOS: readonly Scenario[] = [
  throughput,
  latency,
  isolation,
  saturation,
  memory,
  startup,
  detection,
  crowd,
  narrow,
  cost,
  api,
  controlMemory,
  join,
  decisions,
  policyChange,
  policyStreams,
  revocation,
];

const wanted = process.argv.slice(2);
const unknown = wanted.find((name) => SCENARIOS.every((scenario) => scenario.name !== name));
if (unknown !== undefined) {
  process.stderr.write(`no scenario ${unknown}; there are ${SCENARIOS.map(({ name }) => name).join(', ')}\n`);
  process.exit(2);
}
const unmeasured: string[] = [];
const results: { readonly scenario: string; readonly figures: readonly Figure[] }[] = [];
for (const scenario of SCENARIOS) {
  if (wanted.length > 0 && !wanted.includes(scenario.name)) continue;
  process.stdout.write(`\n${scenario.name}: ${scenario.about}\n`);
  let figures: readonly Figure[];
  try {
    figures = await scenario.run();
  } catch (error) {
    if (!(error instanceof NotMeasured)) throw error;
    process.stdout.write(`  not measured: ${error.message}\n`);
    unmeasured.push(scenario.name);
    continue;
  }
  for (const figure of figures) process.stdout.write(`${describe(figure)}\n`);
  results.push({ scenario: scenario.name, figures });
}
const machine = {
  processor: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 1024 ** 3),
  kernel: release(),
  node: process.version,
  openssl: process.versions.openssl,
};
mkdirSync('reports', { recursive: true });
const report = { machine, commit: commit(), at: new Date().toISOString(), results };
writeFileSync('reports/bench.json', `${JSON.stringify(report, undefined, 1)}\n`);
const missed = results.flatMap(({ figures }) => figures.filter((figure) => isMet(figure) === false));
process.stdout.write(
  `\n${machine.cores} × ${machine.processor}, Node ${machine.node}, commit ${report.commit}; samples in reports/bench.json\n`,
);
const verdicts = [
  missed.length === 0
    ? 'every bar that was measured is met'
    : `${missed.length} bars are missed: ${missed.map(({ name }) => name).join('; ')}`,
  ...(unmeasured.length === 0 ? [] : [`not measured: ${unmeasured.join(', ')}`]),
];
process.stdout.write(`${verdicts.join('; ')}\n`);
process.exit(missed.length === 0 ? 0 : 1);

function describe(figure: Figure): string {
  const { name, value, unit, bar, note } = figure;
  const met = isMet(figure);
  const verdict = bar === undefined ? '' : `  ${met === true ? 'met' : 'MISSED'}: ${bar.kind} ${bar.value}`;
  const digits = Math.abs(value) >= 100 ? 0 : 3;
  return `  ${name.padEnd(58)} ${value.toFixed(digits).padStart(9)} ${unit.padEnd(7)}${verdict}${note === undefined ? '' : `  (${note})`}`;
}

function commit(): string {
  try {
    const head = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
    const isChanged =
      execFileSync('git', ['status', '--porcelain', '--untracked-files=no'], { encoding: 'utf8' }) !== '';
    return isChanged ? `${head} with changes` : head;
  } catch {
    return 'not a git checkout';
  }
}
