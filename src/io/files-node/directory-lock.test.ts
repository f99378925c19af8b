import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { directoryHolder, lockDirectory } from '#io/files-node/directory-lock.ts';
import { ensurePrivateDirectory, readPrivateFile, writePrivateFile } from '#io/files-node/private-files.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'x0-store-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

test('a directory is taken by one process only and free again when that one ends', () => {
  const script = `import { lockDirectory } from '#io/files-node/directory-lock.ts';
    try { lockDirectory(${JSON.stringify(directory)}); console.log('LOCKED') } catch (error) { console.log(error.message) }`;
  const other = (): string =>
    spawnSync(process.execPath, ['--input-type=module-typescript', '-e', script], { encoding: 'utf8' }).stdout.trim();
  expect(directoryHolder(directory)).toBeUndefined();
  const lock = lockDirectory(directory);
  expect(other()).toBe(`the data directory ${directory} is in use by another x0, process ${process.pid}`);
  expect(directoryHolder(directory)).toEqual({ pid: process.pid });
  writeFileSync(join(directory, 'lock.pid'), 'garbage');
  expect(other()).toBe(`the data directory ${directory} is in use by another x0`);
  expect(() => lockDirectory(directory)).toThrow(/in use/);
  lock.release();
  expect(directoryHolder(directory)).toBeUndefined();
  expect(other()).toBe('LOCKED');
  lockDirectory(directory).release();
});

test('private files are 0600 in a 0700 directory and refused when others may read them', async () => {
  const home = join(directory, 'private');
  ensurePrivateDirectory(home);
  const path = join(home, 'key.pem');
  expect(readPrivateFile(path)).toBeUndefined();
  writePrivateFile(path, 'one');
  writePrivateFile(path, 'two');
  expect(readPrivateFile(path)?.toString()).toBe('two');
  expect([statSync(path).mode & 0o777, statSync(home).mode & 0o777]).toEqual([0o600, 0o700]);
  const { chmodSync } = await import('node:fs');
  chmodSync(path, 0o644);
  expect(() => readPrivateFile(path)).toThrow(/may be read by others/);
});

test('a lock that is garbage or a directory is damaged', () => {
  rmSync(join(directory, 'lock'), { force: true });
  writeFileSync(join(directory, 'lock'), Buffer.alloc(5000, 'garbage'));
  expect(() => lockDirectory(directory)).toThrow(expect.objectContaining({ name: 'CodedError', code: 'DATA_DAMAGED' }));
  rmSync(join(directory, 'lock'));
  mkdirSync(join(directory, 'lock'));
  expect(() => lockDirectory(directory)).toThrow(expect.objectContaining({ name: 'CodedError', code: 'DATA_DAMAGED' }));
  rmSync(join(directory, 'lock'), { recursive: true });
});
