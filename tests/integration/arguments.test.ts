import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '..', '..');

function run(program: string, args: string): { status: number | null; stdout: string; stderr: readonly string[] } {
  const words = ['--disable-warning=ExperimentalWarning', join(root, program), ...args.split(' ').filter(Boolean)];
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
  return { status, stdout, stderr: stderr.split('\n').filter((line) => !line.startsWith('the tier system')) };
}

const [CHAOS, DEMO, SIM] = ['tests/chaos/run.ts', 'tests/chaos/demo.ts', 'sim/run/main.ts'] as const;
const USAGES = { [CHAOS]: 'npm run chaos', [DEMO]: 'npm run demo:survive', [SIM]: 'npm run sim' };

test.each([
  [CHAOS, '--faults x', '--faults x: not a whole number of 1 or more'],
  [CHAOS, '--faults 1e3', '--faults 1e3: not a whole number of 1 or more'],
  [CHAOS, '--kinds kill,nosuch', '--kinds nosuch: there is no such; there are kill, freeze'],
  [CHAOS, '--kinds nosuch', '--kinds nosuch: there is no such; there are kill, freeze'],
  [CHAOS, '--topology nosuch', '--topology nosuch: there is no such; there are diamond, ring, grid'],
  [CHAOS, '--streams 0', '--streams 0: not a whole number of 1 or more'],
  [CHAOS, '--bogus', "Unknown option '--bogus'"],
  [DEMO, '--gigabytes x', '--gigabytes x: not a number greater than 0'],
  [DEMO, '--gigabytes -1', '--gigabytes -1: not a number greater than 0'],
  [DEMO, 'more', "Unexpected argument 'more'"],
  [SIM, '', 'exactly one of --seeds, --seed, --convergence, --mutants is needed'],
  [SIM, '--seed 7 --seeds 3', 'exactly one of --seeds, --seed, --convergence, --mutants is needed'],
  [SIM, '--bogus', "Unknown option '--bogus'"],
  [SIM, '--seeds -3', '--seeds -3: not a whole number of 1 or more'],
  [SIM, '--seeds 0', '--seeds 0: not a whole number of 1 or more'],
  [SIM, '--seed x', '--seed x: not a whole number of 0 or more'],
  [SIM, '--seed', "Option '--seed <value>' argument missing"],
  [SIM, '--seed 3 --only nosuch', '--only goes with --mutants'],
  [SIM, '--convergence 3', '--convergence 3: not a whole number of 5 or more'],
  [SIM, '--mutants --only nosuch', '--only nosuch: there is no such; there are linkstate-one-sided-links'],
])('%s %s is refused in one line, with the usage', (program, args, why) => {
  const { status, stdout, stderr } = run(program, args);
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr[0]?.startsWith(why)).toBe(true);
  expect(stderr[1]?.startsWith(`${USAGES[program]} -- `)).toBe(true);
});

test.each([CHAOS, DEMO, SIM])('%s says how it is used, also beside what is wrong', (program) => {
  const { status, stdout, stderr } = run(program, '--bogus --help');
  expect([status, stderr]).toEqual([0, ['']]);
  expect(stdout.startsWith(`${USAGES[program]} -- `)).toBe(true);
});
