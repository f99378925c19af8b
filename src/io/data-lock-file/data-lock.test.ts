import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockDataDir } from './data-lock.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'x0-lock-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

test('a directory is ours until we release it', () => {
  const lock = lockDataDir(folder, 'up');
  expect(() => lockDataDir(folder, 'up')).toThrow(expect.objectContaining({ code: 'DATA_DIR_IN_USE' }) as Error);
  lock.release();
  expect(readdirSync(folder)).toEqual([]);
  lockDataDir(folder, 'up').release();
});

test.each(['', 'garbage', '999999999 1', `${process.pid} 1`, `1 0`])('a lock that says %j is left over', (text) => {
  writeFileSync(join(folder, 'up.lock'), text);
  lockDataDir(folder, 'up').release();
  expect(readdirSync(folder)).toEqual([]);
});
