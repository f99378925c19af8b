import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';

/** The tables of files that were made before there were migrations; theirs are strict, which later changes could not be. */
const TAKEN_OVER = ['tokens', 'svids', 'instances', 'forwards', 'counters'] as const;

/** The control plane's own tables. */
export const controlMigration: Migration = {
  async up(database: Kysely<unknown>): Promise<void> {
    const tables = await database.introspection.getTables();
    const isOld = tables.some(({ name }) => name === 'nodes');
    if (isOld) await setAside(database);
    await createMembers(database);
    await createRegistry(database);
    if (isOld) await takeOver(database);
    else
      await sql`INSERT INTO counters (name, value, mark) VALUES ('epoch', 0, ''), ('snapshot', 0, '')`.execute(
        database,
      );
  },
};

async function setAside({ schema }: Kysely<unknown>): Promise<void> {
  await schema.dropIndex('svids_by_node').ifExists().execute();
  for (const table of [...TAKEN_OVER, 'nodes']) await schema.alterTable(table).renameTo(`${table}_before`).execute();
}

async function takeOver(database: Kysely<unknown>): Promise<void> {
  for (const table of TAKEN_OVER)
    await sql`INSERT INTO ${sql.table(table)} SELECT * FROM ${sql.table(`${table}_before`)}`.execute(database);
  // A node's latest SVID stands with the node now: of two of one millisecond only the order of rows told which came last.
  await sql`INSERT INTO nodes SELECT n.*, coalesce(s.serial, ''), coalesce(s.not_after_ms, 0) FROM nodes_before n
    LEFT JOIN svids_before s ON s.rowid =
      (SELECT rowid FROM svids_before WHERE node = n.name ORDER BY issued_at_ms DESC, rowid DESC LIMIT 1)`.execute(
    database,
  );
  for (const table of [...TAKEN_OVER, 'nodes']) await database.schema.dropTable(`${table}_before`).execute();
}

async function createMembers({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('tokens')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('secret_hash', 'text', (column) => column.notNull())
    .addColumn('node', 'text', (column) => column.notNull())
    .addColumn('relay', 'integer', (column) => column.notNull())
    .addColumn('labels', 'text', (column) => column.notNull())
    .addColumn('links', 'text')
    .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('expires_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('used_at_ms', 'bigint')
    .execute();
  await schema
    .createTable('nodes')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('spiffe_id', 'text', (column) => column.notNull())
    .addColumn('relay', 'integer', (column) => column.notNull())
    .addColumn('labels', 'text', (column) => column.notNull())
    .addColumn('links', 'text')
    .addColumn('addresses', 'text', (column) => column.notNull())
    .addColumn('admitted_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('revoked', 'integer', (column) => column.notNull())
    .addColumn('serial', 'text', (column) => column.notNull())
    .addColumn('not_after_ms', 'bigint', (column) => column.notNull())
    .execute();
  await schema
    .createTable('svids')
    .addColumn('serial', 'text', (column) => column.primaryKey())
    .addColumn('node', 'text', (column) => column.notNull())
    .addColumn('spiffe_id', 'text', (column) => column.notNull())
    .addColumn('not_after_ms', 'bigint', (column) => column.notNull())
    .addColumn('issued_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('revoked_epoch', 'bigint')
    .execute();
  await schema.createIndex('svids_by_node').on('svids').columns(['node', 'issued_at_ms']).execute();
}

async function createRegistry({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('instances')
    .addColumn('service', 'text', (column) => column.notNull())
    .addColumn('node', 'text', (column) => column.notNull())
    .addColumn('host', 'text', (column) => column.notNull())
    .addColumn('port', 'integer', (column) => column.notNull())
    .addColumn('proxy_protocol', 'integer', (column) => column.notNull())
    .addPrimaryKeyConstraint('instances_key', ['service', 'node'])
    .execute();
  await schema
    .createTable('forwards')
    .addColumn('node', 'text', (column) => column.notNull())
    .addColumn('service', 'text', (column) => column.notNull())
    .addColumn('host', 'text', (column) => column.notNull())
    .addColumn('port', 'integer', (column) => column.notNull())
    .addPrimaryKeyConstraint('forwards_key', ['node', 'service'])
    .execute();
  await schema
    .createTable('counters')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('value', 'bigint', (column) => column.notNull())
    .addColumn('mark', 'text', (column) => column.notNull())
    .execute();
}
