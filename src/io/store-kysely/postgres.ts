import { Kysely } from 'kysely';
import { Pool, type PoolConfig, types } from 'pg';
import { CodedError } from '#control/coded-error.ts';
import type { Secret } from '#kernel/secret.ts';
import { migrate } from '#io/store-kysely/migrate.ts';
import { PooledPostgresDialect } from '#io/store-kysely/postgres-dialect.ts';
import type { QueryTimes } from '#io/store-kysely/query-times.ts';
import type { Tables } from '#io/store-kysely/tables.ts';

/** Of one replica: each holds a process of the server. */
const CONNECTION_LIMIT = 10;
/** Whoever asks is told in less than 2 s that the server is away. */
const CONNECT_TIMEOUT_MS = 1_500;
const STATEMENT_TIMEOUT_MS = 5_000;
const LOCK_TIMEOUT_MS = 2_000;
/** A server that hangs does not keep its own time-outs. */
const ANSWER_TIMEOUT_MS = 6_000;
const IDLE_IN_TRANSACTION_MS = 10_000;
/** A migration may take this long, and so may waiting for the replica that does it. */
const MIGRATION_TIMEOUT_MS = 120_000;
/**
 * Opens and migrates the database at `url`. `isKnown`: a mesh lived here before, so an empty database is a loss. Rejects with
 * DATABASE_DOWN, DATABASE_TIMEOUT, DATABASE_BUSY, DATA_INCOMPLETE, DATA_TOO_NEW or DISK_FULL.
 */
export async function openPostgres(url: Secret, isKnown: boolean, times: QueryTimes): Promise<Kysely<Tables>> {
  const patient = { max: 1, lock_timeout: MIGRATION_TIMEOUT_MS, ...timeouts(MIGRATION_TIMEOUT_MS) };
  const migrating = connect(url, patient, times);
  try {
    if (isKnown && !(await hasMembers(migrating))) throw lostDatabase();
    await migrate(migrating);
  } finally {
    await migrating.destroy();
  }
  const serving = { statement_timeout: STATEMENT_TIMEOUT_MS, query_timeout: ANSWER_TIMEOUT_MS };
  return connect(url, { max: CONNECTION_LIMIT, lock_timeout: LOCK_TIMEOUT_MS, ...serving }, times);
}

function timeouts(limitMs: number): PoolConfig {
  return { statement_timeout: limitMs, query_timeout: limitMs + ANSWER_TIMEOUT_MS };
}

function connect(url: Secret, settings: PoolConfig, times: QueryTimes): Kysely<Tables> {
  const pool = new Pool({
    connectionString: url.reveal(),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    keepAlive: true,
    application_name: 'x0-control',
    // Milliseconds and counters are below 2^53.
    types: {
      getTypeParser: (type, format) => (type === types.builtins.INT8 ? Number : types.getTypeParser(type, format)),
    },
    ...settings,
  });
  // A connection that idles and ends is replaced by the next query, which says what is wrong.
  pool.on('error', () => undefined);
  // The pool listens to those that idle only: one that ends between two queries, or after it was given up, would end this process.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return new Kysely<Tables>({ dialect: new PooledPostgresDialect(pool), log: times.note });
}

async function hasMembers(database: Kysely<Tables>): Promise<boolean> {
  return (await database.introspection.getTables()).some(({ name }) => name === 'nodes');
}

/** An empty one in its place would admit again whoever was revoked. */
function lostDatabase(): CodedError {
  return new CodedError(
    'DATA_INCOMPLETE',
    'the database of DATABASE_URL is empty, and the data directory has the keys of a mesh: give the database of that mesh, or another --data-dir',
  );
}
