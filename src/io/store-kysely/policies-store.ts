import type { Kysely, Transaction } from 'kysely';
import { KEPT_VERSIONS, type PolicyStore, type StoredPolicy } from '#control/policies/store.ts';
import type { HeldPosture, PostureStore } from '#control/policies/postures.ts';
import type { SnapshotPosture } from '#trust/snapshot.ts';
import { change } from '#io/store-kysely/noted.ts';
import type { PolicyRow } from '#io/store-kysely/policy-tables.ts';
import type { Tables } from '#io/store-kysely/tables.ts';

/** Policies in SQLite or PostgreSQL. The row of a name holds its present version and stays when it is deleted, so that versions go on. */
export class KyselyPolicyStore implements PolicyStore, PostureStore {
  readonly #database: Kysely<Tables>;

  /** The handle stays the caller's, who closes it. */
  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  async put(policy: Omit<StoredPolicy, 'version'>, expected?: number): Promise<StoredPolicy | undefined> {
    const put = async (on: Transaction<Tables>): Promise<StoredPolicy | undefined> => {
      const version = await takeVersion(on, toRow(policy), expected);
      if (version === undefined) return undefined;
      await on
        .insertInto('policy_versions')
        .values({ ...toRow(policy), version })
        .execute();
      await on
        .deleteFrom('policy_versions')
        .where('name', '=', policy.name)
        .where('version', '<=', version - KEPT_VERSIONS)
        .execute();
      return { ...policy, version };
    };
    return await change(this.#database, put, (stored) => stored !== undefined);
  }

  async find(name: string): Promise<StoredPolicy | undefined> {
    const row = await this.#database.selectFrom('policies').selectAll().where('name', '=', name).executeTakeFirst();
    return row === undefined ? undefined : toPolicy(row);
  }

  async list(): Promise<readonly StoredPolicy[]> {
    const all = this.#database.selectFrom('policies').selectAll().where('deleted', '=', 0).orderBy('name');
    return (await all.execute()).map((row) => toPolicy(row));
  }

  async versions(name: string): Promise<readonly StoredPolicy[]> {
    const all = this.#database.selectFrom('policy_versions').selectAll().where('name', '=', name);
    return (await all.orderBy('version', 'desc').execute()).map((row) => toPolicy(row));
  }

  async listPostures(): Promise<ReadonlyMap<string, HeldPosture>> {
    const rows = await this.#database.selectFrom('postures').selectAll().execute();
    return new Map(
      rows.map(({ node, posture, holder }) => [node, { posture: JSON.parse(posture) as SnapshotPosture, holder }]),
    );
  }

  async putPosture(node: string, { posture, holder }: HeldPosture): Promise<void> {
    const row = { posture: JSON.stringify(posture), holder };
    const put = this.#database.insertInto('postures').values({ node, ...row });
    await put.onConflict((on) => on.column('node').doUpdateSet(row)).execute();
  }

  async changePosture(node: string, { posture, holder }: HeldPosture): Promise<boolean> {
    const changed = this.#database.updateTable('postures').set({ posture: JSON.stringify(posture) });
    const { numUpdatedRows } = await changed.where('node', '=', node).where('holder', '=', holder).executeTakeFirst();
    return numUpdatedRows > 0n;
  }
}

type NewRow = Omit<PolicyRow, 'version'>;

/** One statement, so that of two who have seen the same version one is refused. */
async function takeVersion(
  on: Transaction<Tables>,
  row: NewRow,
  expected: number | undefined,
): Promise<number | undefined> {
  if (expected === undefined || expected === 0) {
    const taken = await on
      .insertInto('policies')
      .values({ ...row, version: 1 })
      .onConflict((conflict) => conflict.column('name').doNothing())
      .returning('version')
      .executeTakeFirst();
    if (taken !== undefined) return taken.version;
  }
  const next = on
    .updateTable('policies')
    .set((set) => ({ ...row, version: set('version', '+', 1) }))
    .where('name', '=', row.name);
  // Who believes that there is none may also come after one that was deleted.
  const guarded =
    expected === undefined
      ? next
      : expected === 0
        ? next.where('deleted', '=', 1)
        : next.where('version', '=', expected);
  return (await guarded.returning('version').executeTakeFirst())?.version;
}

function toRow(policy: Omit<StoredPolicy, 'version'>): NewRow {
  const { name, text, statements, enabled, deleted, changedAtMs, changedBy } = policy;
  const flags = { enabled: Number(enabled), deleted: Number(deleted) };
  return {
    name,
    text,
    statements: JSON.stringify(statements),
    ...flags,
    changed_at_ms: changedAtMs,
    changed_by: changedBy,
  };
}

function toPolicy(row: PolicyRow): StoredPolicy {
  return {
    name: row.name,
    version: row.version,
    text: row.text,
    statements: JSON.parse(row.statements) as string[],
    enabled: row.enabled === 1,
    deleted: row.deleted === 1,
    changedAtMs: row.changed_at_ms,
    changedBy: row.changed_by,
  };
}
