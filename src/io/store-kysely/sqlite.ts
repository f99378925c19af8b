import { statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { Kysely } from 'kysely';
import { CodedError } from '#control/coded-error.ts';
import { ensurePrivateFile } from '#io/files-node/private-files.ts';
import { migrate } from '#io/store-kysely/migrate.ts';
import { NodeSqliteDialect } from '#io/store-kysely/sqlite-dialect.ts';
import { sqliteFailure } from '#io/store-kysely/sqlite-failure.ts';
import type { QueryTimes } from '#io/store-kysely/query-times.ts';
import type { Tables } from '#io/store-kysely/tables.ts';

const IN_MEMORY = ':memory:';
/** 1: made before there were migrations. 2: the table of migrations says the rest; older programs refuse it. */
const LAYOUT = 2;

/**
 * Opens and migrates the database in `path`, with full synchronisation: every change is on the disk when its promise resolves.
 * `isKnown`: a mesh lived here before, so a missing or empty file is a loss. Rejects with DATA_TOO_NEW, DATA_INCOMPLETE,
 * DATA_DAMAGED, DATA_DIR_UNUSABLE, DATABASE_BUSY or DISK_FULL.
 */
export async function openSqlite(path: string, isKnown: boolean, times: QueryTimes): Promise<Kysely<Tables>> {
  if (isKnown && statSync(path, { throwIfNoEntry: false }) === undefined) throw lostDatabase(path);
  if (path !== IN_MEMORY) ensurePrivateFile(path);
  let connection: DatabaseSync | undefined;
  try {
    connection = new DatabaseSync(path, { enableForeignKeyConstraints: true });
    connection.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 2000');
    check(connection, path, isKnown);
    const database = new Kysely<Tables>({ dialect: new NodeSqliteDialect(connection), log: times.note });
    await migrate(database);
    connection.exec(`PRAGMA user_version = ${LAYOUT}`);
    return database;
  } catch (error) {
    if (connection?.isOpen === true) connection.close();
    throw sqliteFailure(error, path);
  }
}

function check(connection: DatabaseSync, path: string, isKnown: boolean): void {
  const found = connection.prepare('PRAGMA quick_check(1)').get()?.['quick_check'];
  if (found !== 'ok') throw new CodedError('DATA_DAMAGED', `${path}: ${String(found)}; restore it from a copy`);
  const version = Number(connection.prepare('PRAGMA user_version').get()?.['user_version']);
  if (version > LAYOUT) throw new CodedError('DATA_TOO_NEW', 'the data directory was written by a newer x0');
  // The tables that say who was admitted and who was revoked.
  const wanted = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN ('nodes', 'svids')";
  if ((isKnown || version > 0) && connection.prepare(wanted).all().length < 2) throw lostDatabase(path);
}

/** An empty one in its place would admit again whoever was revoked. */
function lostDatabase(path: string): CodedError {
  return new CodedError(
    'DATA_INCOMPLETE',
    `${path} is missing or empty beside the keys of a mesh; restore it from a copy`,
  );
}
