import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openLog } from './log.ts';

test('a log that cannot be written ends nothing, and holds little', () => {
  const full = openSync('/dev/full', 'w');
  const log = openLog('x0-test', [], full);
  const before = process.memoryUsage().external + process.memoryUsage().heapUsed;
  for (let i = 0; i < 10_000; i++) log.warn({ code: 'DISK_FULL' }, 'x'.repeat(1000));
  expect(process.memoryUsage().external + process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1024 * 1024);
  closeSync(full);
});

test('a log hides what it is told to', () => {
  const folder = mkdtempSync(join(tmpdir(), 'x0-log-'));
  const file = openSync(join(folder, 'log'), 'w');
  openLog('x0-test', ['token', '*.token'], file).info({ token: 'a secret', node: { token: 'a secret' } }, 'joined');
  closeSync(file);
  const line = readFileSync(join(folder, 'log'), 'utf8');
  rmSync(folder, { recursive: true });
  expect(line).toContain('joined');
  expect(line).not.toContain('a secret');
});
