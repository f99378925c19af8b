import { type Kysely, sql, type Transaction } from 'kysely';
import type {
  ControlStore,
  IssuedSvid,
  Newcomer,
  NodeGrant,
  StoredInstance,
  StoredNode,
  StoredToken,
  TakeRefusal,
} from '#control/store.ts';
import type { Revocation } from '#trust/revocation.ts';
import type { SnapshotForward } from '#trust/snapshot.ts';
import { grantColumns, toForward, toInstance, toNode, toToken } from '#io/store-kysely/control-rows.ts';
import { change } from '#io/store-kysely/noted.ts';
import type { Tables } from '#io/store-kysely/tables.ts';

type Connection = Kysely<Tables> | Transaction<Tables>;

const DAY_MS = 24 * 3_600_000;
/** Used-up tokens and long-expired SVIDs are kept this long for people to look at. */
const KEEP_MS = 30 * DAY_MS;
/** A peer whose clock is behind may still believe an SVID this long after its end. */
const SKEW_MS = 15 * 60_000;

/**
 * The control plane's memory in SQLite or PostgreSQL. What several replicas may do at once is one conditional statement that
 * says what it changed, so no lock is held between reading and writing.
 */
export class KyselyControlStore implements ControlStore {
  readonly #database: Kysely<Tables>;

  /** The handle stays the caller's, who closes it. */
  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  async putToken(token: StoredToken): Promise<void> {
    const { id, secretHash, node, createdAtMs, expiresAtMs, usedAtMs } = token;
    await this.#transact(async (on) => {
      await on
        .deleteFrom('tokens')
        .where('expires_at_ms', '<', createdAtMs - KEEP_MS)
        .execute();
      const times = { created_at_ms: createdAtMs, expires_at_ms: expiresAtMs, used_at_ms: usedAtMs };
      const approval = Number(token.needsApproval ?? false);
      const row = { id, secret_hash: secretHash, node, ...grantColumns(token), ...times, approval };
      await on.insertInto('tokens').values(row).execute();
    });
  }

  async findToken(id: string): Promise<StoredToken | undefined> {
    const row = await this.#database.selectFrom('tokens').selectAll().where('id', '=', id).executeTakeFirst();
    return row === undefined ? undefined : toToken(row);
  }

  async takeToken(
    id: string,
    secretHash: string,
    wallMs: number,
    newcomer?: Newcomer,
  ): Promise<StoredToken | TakeRefusal> {
    return await this.#transact(async (on) => {
      const taken = await on
        .updateTable('tokens')
        .set({ used_at_ms: wallMs })
        .where('id', '=', id)
        .where('secret_hash', '=', secretHash)
        .where('used_at_ms', 'is', null)
        .where('expires_at_ms', '>', wallMs)
        .returningAll()
        .executeTakeFirst();
      if (taken === undefined) return await whyNotTaken(on, id, secretHash);
      const token = toToken(taken);
      if (newcomer !== undefined) await admit(on, token, newcomer.svid, newcomer.addresses);
      return token;
    });
  }

  async admitNode(grant: NodeGrant, svid: IssuedSvid): Promise<void> {
    await this.#transact(async (on) => admit(on, grant, svid, []));
  }

  async renewNode(svid: IssuedSvid): Promise<boolean> {
    return await this.#transact(async (on) => {
      const { numUpdatedRows } = await on
        .updateTable('nodes')
        .set({ serial: svid.serial, not_after_ms: svid.notAfterMs })
        .where('name', '=', svid.node)
        .where('revoked', '=', 0)
        .executeTakeFirst();
      if (numUpdatedRows === 0n) return false;
      await recordSvid(on, svid);
      return true;
    });
  }

  async findNode(name: string): Promise<StoredNode | undefined> {
    const row = await this.#database.selectFrom('nodes').selectAll().where('name', '=', name).executeTakeFirst();
    return row === undefined ? undefined : toNode(row);
  }

  async listNodes(): Promise<readonly StoredNode[]> {
    const rows = await this.#database.selectFrom('nodes').selectAll().orderBy('name').execute();
    return rows.map((row) => toNode(row));
  }

  async countNodes(): Promise<number> {
    const count = this.#database.selectFrom('nodes').select((on) => on.fn.countAll<number | string>().as('total'));
    return Number((await count.executeTakeFirstOrThrow()).total);
  }

  async setAddresses(name: string, addresses: readonly string[]): Promise<void> {
    const moved = this.#database.updateTable('nodes').set({ addresses: JSON.stringify(addresses) });
    await moved.where('name', '=', name).execute();
  }

  async revokeNode(name: string, wallMs: number): Promise<boolean> {
    return await this.#transact(async (on) => {
      const revoked = on.updateTable('nodes').set({ revoked: 1 }).where('name', '=', name);
      if ((await revoked.executeTakeFirst()).numUpdatedRows === 0n) return false;
      await revokeSvids(on, name, wallMs);
      return true;
    });
  }

  async deleteNode(name: string, wallMs: number): Promise<boolean> {
    return await this.#transact(async (on) => {
      const gone = on.deleteFrom('nodes').where('name', '=', name);
      if ((await gone.executeTakeFirst()).numDeletedRows === 0n) return false;
      await revokeSvids(on, name, wallMs);
      await on.deleteFrom('instances').where('node', '=', name).execute();
      await on.deleteFrom('forwards').where('node', '=', name).execute();
      return true;
    });
  }

  async listRevocations(wallMs: number): Promise<readonly Revocation[]> {
    const rows = await this.#database
      .selectFrom('svids')
      .select(['spiffe_id', 'serial', 'revoked_epoch'])
      .where('revoked_epoch', 'is not', null)
      .where('not_after_ms', '>', wallMs - SKEW_MS)
      .orderBy('revoked_epoch')
      .orderBy('serial')
      .execute();
    return rows.map(({ spiffe_id, serial, revoked_epoch }) => ({
      spiffeId: spiffe_id,
      serial,
      epoch: revoked_epoch ?? 0,
    }));
  }

  async putInstance({ service, node, host, port, proxyProtocol }: StoredInstance): Promise<void> {
    const target = { host, port, proxy_protocol: Number(proxyProtocol) };
    await this.#transact(async (on) => {
      const put = on.insertInto('instances').values({ service, node, ...target });
      await put.onConflict((known) => known.columns(['service', 'node']).doUpdateSet(target)).execute();
    });
  }

  async deleteInstance(service: string, node: string): Promise<boolean> {
    return await this.#transact(async (on) => {
      const gone = on.deleteFrom('instances').where('service', '=', service).where('node', '=', node);
      return (await gone.executeTakeFirst()).numDeletedRows > 0n;
    });
  }

  async listInstances(): Promise<readonly StoredInstance[]> {
    const all = this.#database.selectFrom('instances').selectAll().orderBy('service').orderBy('node');
    return (await all.execute()).map((row) => toInstance(row));
  }

  async putForward({ node, service, host, port }: SnapshotForward): Promise<void> {
    await this.#transact(async (on) => {
      const put = on.insertInto('forwards').values({ node, service, host, port });
      await put.onConflict((known) => known.columns(['node', 'service']).doUpdateSet({ host, port })).execute();
    });
  }

  async deleteForward(node: string, service: string): Promise<boolean> {
    return await this.#transact(async (on) => {
      const gone = on.deleteFrom('forwards').where('node', '=', node).where('service', '=', service);
      return (await gone.executeTakeFirst()).numDeletedRows > 0n;
    });
  }

  async listForwards(): Promise<readonly SnapshotForward[]> {
    const all = this.#database.selectFrom('forwards').selectAll().orderBy('node').orderBy('service');
    return (await all.execute()).map((row) => toForward(row));
  }

  async lastVersion(): Promise<number> {
    const head = this.#database.selectFrom('counters').select('value').where('name', '=', 'snapshot');
    return (await head.executeTakeFirstOrThrow()).value;
  }

  async snapshotVersion(bodyHash: string, basis?: number): Promise<number | undefined> {
    const head = this.#database.selectFrom('counters').select(['value', 'mark']).where('name', '=', 'snapshot');
    const { value, mark } = await head.executeTakeFirstOrThrow();
    if (mark === bodyHash) return value;
    const isBasis = basis === undefined ? sql`1 = 1` : sql`value = ${basis}`;
    // In one statement: of replicas that publish the same body at once the first makes the version and the others find it.
    const grown = await sql<{ value: number }>`UPDATE counters SET mark = ${bodyHash},
      value = CASE WHEN mark = ${bodyHash} THEN value ELSE value + 1 END
      WHERE name = 'snapshot' AND (mark = ${bodyHash} OR ${isBasis}) RETURNING value`.execute(this.#database);
    return grown.rows[0]?.value;
  }

  async #transact<T>(work: (on: Transaction<Tables>) => Promise<T>): Promise<T> {
    return await change(this.#database, work);
  }
}

async function whyNotTaken(on: Connection, id: string, secretHash: string): Promise<TakeRefusal> {
  const row = await on
    .selectFrom('tokens')
    .select('used_at_ms')
    .where('id', '=', id)
    .where('secret_hash', '=', secretHash)
    .executeTakeFirst();
  if (row === undefined) return 'TOKEN_UNKNOWN';
  return row.used_at_ms === null ? 'TOKEN_EXPIRED' : 'TOKEN_USED';
}

async function admit(on: Connection, grant: NodeGrant, svid: IssuedSvid, addresses: readonly string[]): Promise<void> {
  const row = {
    spiffe_id: svid.spiffeId,
    ...grantColumns(grant),
    addresses: JSON.stringify(addresses),
    admitted_at_ms: svid.issuedAtMs,
    revoked: 0,
    serial: svid.serial,
    not_after_ms: svid.notAfterMs,
  };
  await on
    .insertInto('nodes')
    .values({ name: grant.node, ...row })
    .onConflict((conflict) => conflict.column('name').doUpdateSet(row))
    .execute();
  await revokeSvids(on, grant.node, svid.issuedAtMs);
  await recordSvid(on, svid);
}

async function recordSvid(on: Connection, svid: IssuedSvid): Promise<void> {
  const { serial, node, spiffeId, notAfterMs, issuedAtMs } = svid;
  await on
    .deleteFrom('svids')
    .where('not_after_ms', '<', issuedAtMs - KEEP_MS)
    .execute();
  const row = { serial, node, spiffe_id: spiffeId, not_after_ms: notAfterMs, issued_at_ms: issuedAtMs };
  await on
    .insertInto('svids')
    .values({ ...row, revoked_epoch: null })
    .execute();
}

/** One epoch for all that one decision revokes; none is spent where nothing was left to revoke. The caller holds the node's row. */
async function revokeSvids(on: Connection, node: string, wallMs: number): Promise<void> {
  const isOpen = on
    .selectFrom('svids')
    .select('serial')
    .where('node', '=', node)
    .where('revoked_epoch', 'is', null)
    .where('not_after_ms', '>', wallMs - SKEW_MS);
  if ((await isOpen.executeTakeFirst()) === undefined) return;
  const { value } = await on
    .updateTable('counters')
    .set((set) => ({ value: set('value', '+', 1) }))
    .where('name', '=', 'epoch')
    .returning('value')
    .executeTakeFirstOrThrow();
  await on
    .updateTable('svids')
    .set({ revoked_epoch: value })
    .where('node', '=', node)
    .where('revoked_epoch', 'is', null)
    .where('not_after_ms', '>', wallMs - SKEW_MS)
    .execute();
}
