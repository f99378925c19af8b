import { statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { SQLInputValue, StatementSync } from 'node:sqlite';
import { CodedError } from '#control/coded-error.ts';
import { ensurePrivateFile } from '#io/files-node/private-files.ts';
import { storageFailure } from '#io/files-node/storage-failure.ts';
import { MIGRATIONS } from '#io/store-sqlite/schema.ts';
import { integer } from '#io/store-sqlite/rows.ts';
import type { Row } from '#io/store-sqlite/rows.ts';

const IN_MEMORY = ':memory:';

/**
 * One connection with full synchronisation; every change is on the disk when its call returns. What storage refuses is thrown as
 * DISK_FULL, DATA_DIR_UNUSABLE or DATA_DAMAGED.
 */
export class Database {
  readonly #connection: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #isOpen = false;

  /**
   * `path` is a file, or `:memory:` for tests; `isKnown` demands that it was filled before. Throws DATA_TOO_NEW for a layout
   * that this program does not know, DATA_INCOMPLETE, DATA_DAMAGED, DATA_DIR_UNUSABLE or DISK_FULL.
   */
  constructor(path: string, isKnown = false) {
    if (isKnown && statSync(path, { throwIfNoEntry: false }) === undefined) throw lostDatabase(path);
    if (path !== IN_MEMORY) ensurePrivateFile(path);
    let connection: DatabaseSync | undefined;
    try {
      connection = new DatabaseSync(path, { enableForeignKeyConstraints: true });
      this.#connection = connection;
      connection.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 2000');
      this.#check(path);
      this.#migrate(path, isKnown);
      this.#isOpen = true;
    } catch (error) {
      this.#statements.clear();
      connection?.close();
      throw storageFailure(error, path);
    }
  }

  /** Number of rows changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return this.#told(() => Number(this.#prepared(sql).run(...values).changes));
  }

  first(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#told(() => this.#prepared(sql).get(...values));
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#told(() => this.#prepared(sql).all(...values));
  }

  /** All of `work` or nothing; `work` is synchronous, so no other caller comes between. */
  transact<T>(work: () => T): T {
    return this.#told(() => this.#transact(work));
  }

  close(): void {
    this.#statements.clear();
    this.#connection.close();
  }

  #transact<T>(work: () => T): T {
    this.#connection.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      this.#connection.exec('COMMIT');
      return result;
    } catch (error) {
      // A full disk makes SQLite roll back by itself; a second time is an error that would hide the first.
      if (this.#connection.isTransaction) this.#connection.exec('ROLLBACK');
      throw error;
    }
  }

  /** While it serves, strangers read the message, and the path is none of theirs; the constructor tells it itself. */
  #told<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw this.#isOpen ? storageFailure(error, 'the database of the control plane') : error;
    }
  }

  #check(path: string): void {
    const found = this.first('PRAGMA quick_check(1)')?.['quick_check'];
    if (found !== 'ok') throw new CodedError('DATA_DAMAGED', `${path}: ${String(found)}; restore it from a copy`);
  }

  #migrate(path: string, isKnown: boolean): void {
    const row = this.first('PRAGMA user_version');
    const version = row === undefined ? 0 : integer(row, 'user_version');
    if (version > MIGRATIONS.length)
      throw new CodedError('DATA_TOO_NEW', 'the data directory was written by a newer x0');
    if (version === 0 ? isKnown : !this.#hasTables()) throw lostDatabase(path);
    for (const [index, sql] of MIGRATIONS.entries()) {
      if (index < version) continue;
      this.transact(() => this.#connection.exec(`${sql}; PRAGMA user_version = ${index + 1}`));
    }
  }

  /** The tables that say who was admitted and who was revoked. */
  #hasTables(): boolean {
    return this.all("SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN ('nodes', 'svids')").length === 2;
  }

  /** The SQL texts are this program's constants, so the map stays small. */
  #prepared(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const made = this.#connection.prepare(sql);
    this.#statements.set(sql, made);
    return made;
  }
}

/** An empty one in its place would admit again whoever was revoked. */
function lostDatabase(path: string): CodedError {
  return new CodedError(
    'DATA_INCOMPLETE',
    `${path} is missing or empty beside the keys of a mesh; restore it from a copy`,
  );
}
