import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ensurePrivateDirectory } from '#io/files-node/private-files.ts';

let scratch = '';
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'x0-files-'));
});
afterEach(() => rmSync(scratch, { recursive: true }));

test('a private directory is made with its parents, for its owner alone, and made again without harm', () => {
  const path = join(scratch, 'a', 'b');
  ensurePrivateDirectory(path);
  ensurePrivateDirectory(path);
  expect(statSync(path).mode & 0o777).toBe(0o700);
});

test('a place that takes no directories is refused by name, at once', () => {
  expect(() => ensurePrivateDirectory('/proc/x0/data')).toThrow(expect.objectContaining({ code: 'DATA_DIR_UNUSABLE' }));
  writeFileSync(join(scratch, 'file'), '');
  expect(() => ensurePrivateDirectory(join(scratch, 'file', 'data'))).toThrow(
    expect.objectContaining({ code: 'DATA_DIR_UNUSABLE' }),
  );
});

test('a directory that others use is refused and left as it is; an empty one is closed to others', () => {
  const shared = join(scratch, 'shared');
  mkdirSync(shared);
  chmodSync(shared, 0o755);
  ensurePrivateDirectory(shared);
  expect(statSync(shared).mode & 0o777).toBe(0o700);
  chmodSync(shared, 0o755);
  writeFileSync(join(shared, 'file'), '');
  expect(() => ensurePrivateDirectory(shared)).toThrow(expect.objectContaining({ code: 'DATA_DIR_UNUSABLE' }));
  expect(statSync(shared).mode & 0o777).toBe(0o755);
});
