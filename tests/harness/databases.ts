/** Databases for tests: SQLite in memory, and PostgreSQL on a server of the test's own or at `DATABASE_URL_TEST`. */
import { randomBytes } from 'node:crypto';
import type { Kysely } from 'kysely';
import { Client } from 'pg';
import { Secret } from '#kernel/secret.ts';
import { openDatabase } from '#io/store-kysely/open-database.ts';
import type { Tables } from '#io/store-kysely/tables.ts';
import { PostgresServer } from './postgres-server.ts';
import { POSTGRES_BIN } from './system.ts';

/** One kind of database; `stop` when the tests are done. */
export interface TestDatabase {
  readonly name: 'SQLite' | 'PostgreSQL';
  /** A new and empty one, migrated; the caller destroys the handle. */
  open(): Promise<Kysely<Tables>>;
  stop(): Promise<void>;
}

export const SQLITE: TestDatabase = {
  name: 'SQLite',
  open: async () => await openDatabase({ kind: 'sqlite', path: ':memory:' }),
  stop: async () => undefined,
};

/** PostgreSQL; its server starts with the first database and ends with `stop`. */
export class PostgresDatabases implements TestDatabase {
  readonly name = 'PostgreSQL';
  #server: Promise<PostgresServer> | undefined;
  #made: string[] = [];

  async open(): Promise<Kysely<Tables>> {
    return await openDatabase({ kind: 'postgresql', url: new Secret(await this.create()) });
  }

  /** The URL of a new and empty database, not migrated. */
  async create(): Promise<string> {
    const name = `x0_test_${randomBytes(6).toString('hex')}`;
    const url = await this.#adminUrl();
    await command(url, `CREATE DATABASE ${name}`);
    this.#made.push(name);
    const made = new URL(url);
    made.pathname = `/${name}`;
    return made.href;
  }

  /** Fails where the server is not the test's own. */
  async server(): Promise<PostgresServer> {
    this.#server ??= PostgresServer.start();
    return await this.#server;
  }

  async stop(): Promise<void> {
    if (this.#server !== undefined) await (await this.#server).stop();
    else if (this.#made.length > 0) {
      const url = await this.#adminUrl();
      for (const name of this.#made) await command(url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    }
    this.#made = [];
    this.#server = undefined;
  }

  async #adminUrl(): Promise<string> {
    return process.env['DATABASE_URL_TEST'] ?? (await this.server()).url;
  }
}

/** Why there is no PostgreSQL for tests; undefined where there is one. */
export const POSTGRES_MISSING =
  POSTGRES_BIN === undefined && process.env['DATABASE_URL_TEST'] === undefined
    ? 'needs the package postgresql or DATABASE_URL_TEST'
    : undefined;

/** Every kind that this machine has. In CI (`X0_SYSTEM_TESTS=required`) both must be. */
export function databases(): readonly TestDatabase[] {
  if (POSTGRES_MISSING === undefined) return [SQLITE, new PostgresDatabases()];
  if (process.env['X0_SYSTEM_TESTS'] === 'required') throw new Error(`PostgreSQL ${POSTGRES_MISSING}`);
  process.stderr.write(`PostgreSQL is skipped: it ${POSTGRES_MISSING}\n`);
  return [SQLITE];
}

async function command(url: string, text: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}
