import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Database } from '#io/store-sqlite/database.ts';
import { lockDirectory } from '#io/store-sqlite/directory-lock.ts';

let scratch = '';
let path = '';
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'x0-damage-'));
  path = join(scratch, 'x0.sqlite');
});
afterEach(() => rmSync(scratch, { recursive: true }));

const coded = (code: string): unknown => expect.objectContaining({ name: 'CodedError', code });

test('a database that was filled before and is gone, empty or without its tables is a loss, and nothing is put there', () => {
  expect(() => new Database(path, true)).toThrow(coded('DATA_INCOMPLETE'));
  expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined();
  writeFileSync(path, '');
  expect(() => new Database(path, true)).toThrow(coded('DATA_INCOMPLETE'));
  new Database(path).close();
  new Database(path, true).close();
  const other = new DatabaseSync(path);
  other.exec('DROP TABLE svids');
  other.close();
  expect(() => new Database(path, true)).toThrow(coded('DATA_INCOMPLETE'));
});

test('a database that is garbage, cut short, has a broken page or is a directory is damaged', () => {
  writeFileSync(path, Buffer.alloc(8192, 'garbage'));
  expect(() => new Database(path)).toThrow(coded('DATA_DAMAGED'));
  rmSync(path);
  new Database(path).close();
  const sizeBytes = statSync(path).size;
  truncateSync(path, 5000);
  expect(() => new Database(path, true)).toThrow(coded('DATA_DAMAGED'));
  rmSync(path);
  new Database(path).close();
  writeFileSync(path, Buffer.alloc(sizeBytes - 4096, 0xa5), { flag: 'r+', flush: true });
  expect(() => new Database(path, true)).toThrow(coded('DATA_DAMAGED'));
  rmSync(path);
  mkdirSync(path);
  expect(() => new Database(path)).toThrow(coded('DATA_DAMAGED'));
});

test('a full disk is told as it happened, also where SQLite rolled back by itself', () => {
  const database = new Database(path);
  const limit = database.first('PRAGMA max_page_count = 40');
  expect(limit).toBeDefined();
  database.run('CREATE TABLE filler (content BLOB) STRICT');
  const fill = (): void => {
    for (let row = 0; row < 100; row++) database.run('INSERT INTO filler VALUES (zeroblob(4000))');
  };
  expect(() => database.transact(fill)).toThrow(coded('DISK_FULL'));
  expect(fill).toThrow(coded('DISK_FULL'));
  expect(fill).not.toThrow(scratch);
  expect(() =>
    database.transact(() => {
      database.run('ROLLBACK');
      throw new Error('the first failure');
    }),
  ).toThrow('the first failure');
  database.close();
});

test('the files of the database and the lock are for their owner alone, also those of an older version', () => {
  writeFileSync(path, '');
  chmodSync(path, 0o644);
  const database = new Database(path);
  const lock = lockDirectory(scratch);
  for (const name of ['x0.sqlite', 'x0.sqlite-wal', 'x0.sqlite-shm', 'lock'])
    expect([name, statSync(join(scratch, name)).mode & 0o777]).toEqual([name, 0o600]);
  lock.release();
  database.close();
});

test('a lock that is garbage or a directory is damaged', () => {
  writeFileSync(join(scratch, 'lock'), Buffer.alloc(5000, 'garbage'));
  expect(() => lockDirectory(scratch)).toThrow(coded('DATA_DAMAGED'));
  rmSync(join(scratch, 'lock'));
  mkdirSync(join(scratch, 'lock'));
  expect(() => lockDirectory(scratch)).toThrow(coded('DATA_DAMAGED'));
});
