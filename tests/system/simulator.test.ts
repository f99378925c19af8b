import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { expect, test } from 'vitest';

const root = dirname(dirname(import.meta.dirname));

function simulate(...args: readonly string[]): { readonly status: number | null; readonly output: string } {
  const done = spawnSync(process.execPath, ['tools/launch.mjs', 'sim/run/main.ts', ...args], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 ** 2,
  });
  const output = done.stdout + done.stderr;
  console.log(output.split('\n').slice(-12).join('\n'));
  return { status: done.status, output };
}

test('two hundred simulated meshes lose no byte and find their ways again', () => {
  const { status, output } = simulate('--seeds', '200', '--from', '5000');
  expect(output).toContain('200 passed, 0 failed');
  expect(status).toBe(0);
}, 400_000);

test('every planted bug is found', () => {
  const { status } = simulate('--mutants');
  expect(status).toBe(0);
}, 500_000);
