import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ensurePrivateDirectory, readPrivateFile, writePrivateFile } from '#io/files-node/private-files.ts';

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

test('a file that the disk takes in small parts is written whole', () => {
  const path = join(scratch, 'key');
  writePrivateFile(path, 'a long content', (file, bytes, offset) => writeSync(file, bytes, offset, 1));
  expect(readFileSync(path, 'utf8')).toBe('a long content');
});

function writeThreeBytes(file: number, bytes: Uint8Array, offset: number): number {
  if (offset > 0) throw Object.assign(new Error('no space left'), { code: 'ENOSPC', syscall: 'write' });
  return writeSync(file, bytes, 0, 3);
}

test('a disk that fills up in the middle leaves the old content, no remains, and one coded failure', () => {
  const path = join(scratch, 'key');
  writePrivateFile(path, 'the good content');
  expect(() => writePrivateFile(path, 'newer content', writeThreeBytes)).toThrow(
    expect.objectContaining({ code: 'DISK_FULL' }),
  );
  expect(readFileSync(path, 'utf8')).toBe('the good content');
  expect(readdirSync(scratch)).toEqual(['key']);
});

test('a directory where a file belongs is damage', () => {
  const path = join(scratch, 'key');
  mkdirSync(path);
  const damaged = expect.objectContaining({ code: 'DATA_DAMAGED' });
  expect(() => readPrivateFile(path)).toThrow(damaged);
  expect(() => writePrivateFile(path, 'x')).toThrow(damaged);
});
