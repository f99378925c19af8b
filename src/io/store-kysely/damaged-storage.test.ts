import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Kysely, sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockDirectory } from '#io/files-node/directory-lock.ts';
import { openDatabase } from '#io/store-kysely/open-database.ts';
import type { Tables } from '#io/store-kysely/tables.ts';

let scratch = '';
let path = '';
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'x0-damage-'));
  path = join(scratch, 'x0.sqlite');
});
afterEach(() => rmSync(scratch, { recursive: true }));

const coded = (code: string): unknown => expect.objectContaining({ name: 'CodedError', code });

async function open(isKnown = false): Promise<Kysely<Tables>> {
  return await openDatabase({ kind: 'sqlite', path }, isKnown);
}

async function openAndClose(isKnown = false): Promise<void> {
  await (await open(isKnown)).destroy();
}

async function fill(on: Kysely<Tables>): Promise<void> {
  for (let row = 0; row < 100; row++) await sql`INSERT INTO filler VALUES (zeroblob(4000))`.execute(on);
}

test('a database that was filled before and is gone, empty or without its tables is a loss, and nothing is put there', async () => {
  await expect(open(true)).rejects.toEqual(coded('DATA_INCOMPLETE'));
  expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined();
  writeFileSync(path, '');
  await expect(open(true)).rejects.toEqual(coded('DATA_INCOMPLETE'));
  await openAndClose();
  await openAndClose(true);
  const other = new DatabaseSync(path);
  other.exec('DROP TABLE svids');
  other.close();
  await expect(open(true)).rejects.toEqual(coded('DATA_INCOMPLETE'));
});

test('a database that is garbage, cut short, has a broken page or is a directory is damaged', async () => {
  writeFileSync(path, Buffer.alloc(8192, 'garbage'));
  await expect(open()).rejects.toEqual(coded('DATA_DAMAGED'));
  rmSync(path);
  await openAndClose();
  const sizeBytes = statSync(path).size;
  truncateSync(path, 5000);
  await expect(open(true)).rejects.toEqual(coded('DATA_DAMAGED'));
  rmSync(path);
  await openAndClose();
  writeFileSync(path, Buffer.alloc(sizeBytes - 4096, 0xa5), { flag: 'r+', flush: true });
  await expect(open(true)).rejects.toEqual(coded('DATA_DAMAGED'));
  rmSync(path);
  mkdirSync(path);
  await expect(open()).rejects.toEqual(coded('DATA_DAMAGED'));
});

test('a full disk is told as it happened, also where SQLite rolled back by itself', async () => {
  const database = await open();
  await sql`CREATE TABLE filler (content BLOB) STRICT`.execute(database);
  await sql`PRAGMA max_page_count = 60`.execute(database);
  await expect(database.transaction().execute(fill)).rejects.toEqual(coded('DISK_FULL'));
  await expect(fill(database)).rejects.toEqual(coded('DISK_FULL'));
  await expect(fill(database)).rejects.not.toThrow(scratch);
  const work = database.transaction().execute(async (on) => {
    await sql`ROLLBACK`.execute(on);
    throw new Error('the first failure');
  });
  await expect(work).rejects.toThrow('the first failure');
  await database.destroy();
});

test('a file that another program holds is busy, and serves again when that one is done', async () => {
  const database = await open();
  await sql`PRAGMA busy_timeout = 10`.execute(database);
  const other = new DatabaseSync(path);
  other.exec('BEGIN IMMEDIATE');
  const write = async (): Promise<unknown> => await sql`UPDATE counters SET value = value`.execute(database);
  await expect(write()).rejects.toEqual(coded('DATABASE_BUSY'));
  other.exec('COMMIT');
  other.close();
  await write();
  await database.destroy();
});

test('the files of the database and the lock are for their owner alone, also those of an older version', async () => {
  writeFileSync(path, '');
  chmodSync(path, 0o644);
  const database = await open();
  const lock = lockDirectory(scratch);
  for (const name of ['x0.sqlite', 'x0.sqlite-wal', 'x0.sqlite-shm', 'lock'])
    expect([name, statSync(join(scratch, name)).mode & 0o777]).toEqual([name, 0o600]);
  lock.release();
  await database.destroy();
});
