import {
  type CompiledQuery,
  type DatabaseConnection,
  type DatabaseIntrospector,
  type Dialect,
  type DialectAdapter,
  type Driver,
  type Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryCompiler,
  type QueryResult,
  type TransactionSettings,
} from 'kysely';
import type { Pool, PoolClient } from 'pg';
import { CodedError } from '#control/coded-error.ts';
import { postgresFailure } from '#io/store-kysely/postgres-failure.ts';

/** After these nobody knows what the connection does next. */
const BREAKING: ReadonlySet<string> = new Set(['DATABASE_DOWN', 'DATABASE_TIMEOUT']);

/** Kysely over a pool, with failures in this program's codes; a connection that did not answer in time is not used again. */
export class PooledPostgresDialect implements Dialect {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  createAdapter(): DialectAdapter {
    return new PostgresAdapter();
  }

  createDriver(): Driver {
    return new PooledDriver(this.#pool);
  }

  createIntrospector(kysely: Kysely<unknown>): DatabaseIntrospector {
    return new PostgresIntrospector(kysely);
  }

  createQueryCompiler(): QueryCompiler {
    return new PostgresQueryCompiler();
  }
}

class PooledDriver implements Driver {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<PooledConnection> {
    try {
      return new PooledConnection(await this.#pool.connect());
    } catch (error) {
      throw postgresFailure(error);
    }
  }

  async beginTransaction(connection: PooledConnection, { isolationLevel }: TransactionSettings): Promise<void> {
    await connection.execute(isolationLevel === undefined ? 'BEGIN' : `BEGIN ISOLATION LEVEL ${isolationLevel}`);
  }

  async commitTransaction(connection: PooledConnection): Promise<void> {
    await connection.execute('COMMIT');
  }

  async rollbackTransaction(connection: PooledConnection): Promise<void> {
    await connection.rollBack();
  }

  async releaseConnection(connection: PooledConnection): Promise<void> {
    connection.release();
  }

  async destroy(): Promise<void> {
    await this.#pool.end();
  }
}

class PooledConnection implements DatabaseConnection {
  readonly #client: PoolClient;
  #isBroken = false;

  constructor(client: PoolClient) {
    this.#client = client;
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    return await this.execute<R>(sql, parameters);
  }

  async *streamQuery<R>(query: CompiledQuery): AsyncIterableIterator<QueryResult<R>> {
    yield await this.executeQuery<R>(query);
  }

  async execute<R>(sql: string, parameters: readonly unknown[] = []): Promise<QueryResult<R>> {
    try {
      const { command, rowCount, rows } = await this.#client.query(sql, [...parameters]);
      return { rows: (command === 'COMMIT' ? [] : rows) as R[], numAffectedRows: BigInt(rowCount ?? 0) };
    } catch (error) {
      const failure = postgresFailure(error);
      if (failure instanceof CodedError && BREAKING.has(failure.code)) this.#isBroken = true;
      throw failure;
    }
  }

  /** Its own failure would hide the one that it follows; the server rolls back when the connection ends. */
  async rollBack(): Promise<void> {
    if (this.#isBroken) return;
    try {
      await this.execute('ROLLBACK');
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.#isBroken = true;
    }
  }

  release(): void {
    this.#client.release(this.#isBroken);
  }
}
