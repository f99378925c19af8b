import { DatabaseSync } from 'node:sqlite';
import type { SQLInputValue, StatementSync } from 'node:sqlite';
import { CodedError } from '#control/coded-error.ts';
import { MIGRATIONS } from '#io/store-sqlite/schema.ts';
import { integer } from '#io/store-sqlite/rows.ts';
import type { Row } from '#io/store-sqlite/rows.ts';

/** One connection with full synchronisation; every change is on the disk when its call returns. */
export class Database {
  readonly #connection: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  /** `path` is a file, or `:memory:` for tests. Throws DATA_TOO_NEW for a layout that this program does not know. */
  constructor(path: string) {
    this.#connection = new DatabaseSync(path, { enableForeignKeyConstraints: true });
    this.#connection.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 2000');
    this.#migrate();
  }

  /** Number of rows changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepared(sql).run(...values).changes);
  }

  first(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepared(sql).get(...values);
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepared(sql).all(...values);
  }

  /** All of `work` or nothing; `work` is synchronous, so no other caller comes between. */
  transact<T>(work: () => T): T {
    this.#connection.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      this.#connection.exec('COMMIT');
      return result;
    } catch (error) {
      this.#connection.exec('ROLLBACK');
      throw error;
    }
  }

  close(): void {
    this.#statements.clear();
    this.#connection.close();
  }

  #migrate(): void {
    const row = this.first('PRAGMA user_version');
    const version = row === undefined ? 0 : integer(row, 'user_version');
    if (version > MIGRATIONS.length)
      throw new CodedError('DATA_TOO_NEW', 'the data directory was written by a newer x0');
    for (const [index, sql] of MIGRATIONS.entries()) {
      if (index < version) continue;
      this.transact(() => this.#connection.exec(`${sql}; PRAGMA user_version = ${index + 1}`));
    }
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
