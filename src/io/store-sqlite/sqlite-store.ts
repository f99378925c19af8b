import type { Revocation } from '#trust/revocation.ts';
import type { SnapshotForward } from '#trust/snapshot.ts';
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
import { Database } from '#io/store-sqlite/database.ts';
import { integer, text, toForward, toInstance, toNode, toRevocation, toToken } from '#io/store-sqlite/rows.ts';

const DAY_MS = 24 * 3_600_000;
/** Used-up tokens and long-expired SVIDs are kept this long for people to look at. */
const KEEP_MS = 30 * DAY_MS;
/** A peer whose clock is behind may still believe an SVID this long after its end. */
const SKEW_MS = 15 * 60_000;
const NODE_COLUMNS = `SELECT n.*, s.serial, s.not_after_ms FROM nodes n
  LEFT JOIN svids s ON s.serial = (SELECT serial FROM svids WHERE node = n.name ORDER BY issued_at_ms DESC, rowid DESC LIMIT 1)`;

/** The control plane's memory in one SQLite file. */
export class SqliteStore implements ControlStore {
  readonly #database: Database;

  /** `isKnown`: a mesh lived here before, so a missing or empty file is a loss. Throws as `Database` does. */
  constructor(path: string, isKnown = false) {
    this.#database = new Database(path, isKnown);
  }

  async putToken(token: StoredToken): Promise<void> {
    const { id, secretHash, node, labels, createdAtMs, expiresAtMs, usedAtMs } = token;
    this.#database.transact(() => {
      this.#database.run('DELETE FROM tokens WHERE expires_at_ms < ?', createdAtMs - KEEP_MS);
      this.#database.run(
        'INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
        id,
        secretHash,
        node,
        Number(token.relay),
        JSON.stringify(labels),
        linksText(token),
        createdAtMs,
        expiresAtMs,
        usedAtMs,
      );
    });
  }

  async findToken(id: string): Promise<StoredToken | undefined> {
    const row = this.#database.first('SELECT * FROM tokens WHERE id = ?', id);
    return row === undefined ? undefined : toToken(row);
  }

  async takeToken(
    id: string,
    secretHash: string,
    wallMs: number,
    newcomer?: Newcomer,
  ): Promise<StoredToken | TakeRefusal> {
    return this.#database.transact(() => {
      const row = this.#database.first('SELECT * FROM tokens WHERE id = ? AND secret_hash = ?', id, secretHash);
      if (row === undefined) return 'TOKEN_UNKNOWN';
      const token = toToken(row);
      if (token.usedAtMs !== null) return 'TOKEN_USED';
      if (token.expiresAtMs <= wallMs) return 'TOKEN_EXPIRED';
      this.#database.run('UPDATE tokens SET used_at_ms = ? WHERE id = ?', wallMs, id);
      if (newcomer !== undefined) {
        this.#admit(token, newcomer.svid);
        this.#setAddresses(token.node, newcomer.addresses);
      }
      return { ...token, usedAtMs: wallMs };
    });
  }

  async admitNode(grant: NodeGrant, svid: IssuedSvid): Promise<void> {
    this.#database.transact(() => this.#admit(grant, svid));
  }

  async renewNode(svid: IssuedSvid): Promise<boolean> {
    return this.#database.transact(() => {
      const row = this.#database.first('SELECT revoked FROM nodes WHERE name = ?', svid.node);
      if (row === undefined || integer(row, 'revoked') === 1) return false;
      this.#recordSvid(svid);
      return true;
    });
  }

  async findNode(name: string): Promise<StoredNode | undefined> {
    const row = this.#database.first(`${NODE_COLUMNS} WHERE n.name = ?`, name);
    return row === undefined ? undefined : toNode(row);
  }

  async listNodes(): Promise<readonly StoredNode[]> {
    return this.#database.all(`${NODE_COLUMNS} ORDER BY n.name`).map((row) => toNode(row));
  }

  async countNodes(): Promise<number> {
    return integer(this.#database.first('SELECT count(*) AS total FROM nodes') ?? {}, 'total');
  }

  async setAddresses(name: string, addresses: readonly string[]): Promise<void> {
    this.#setAddresses(name, addresses);
  }

  async revokeNode(name: string, wallMs: number): Promise<boolean> {
    return this.#database.transact(() => {
      if (this.#database.run('UPDATE nodes SET revoked = 1 WHERE name = ?', name) === 0) return false;
      this.#revokeSvids(name, wallMs);
      return true;
    });
  }

  async deleteNode(name: string, wallMs: number): Promise<boolean> {
    return this.#database.transact(() => {
      if (this.#database.run('DELETE FROM nodes WHERE name = ?', name) === 0) return false;
      this.#revokeSvids(name, wallMs);
      this.#database.run('DELETE FROM instances WHERE node = ?', name);
      this.#database.run('DELETE FROM forwards WHERE node = ?', name);
      return true;
    });
  }

  async listRevocations(wallMs: number): Promise<readonly Revocation[]> {
    return this.#database
      .all(
        `SELECT spiffe_id, serial, revoked_epoch FROM svids WHERE revoked_epoch IS NOT NULL AND not_after_ms > ?
         ORDER BY revoked_epoch, serial`,
        wallMs - SKEW_MS,
      )
      .map((row) => toRevocation(row));
  }

  async putInstance(instance: StoredInstance): Promise<void> {
    const { service, node, host, port, proxyProtocol } = instance;
    const sql = 'INSERT OR REPLACE INTO instances VALUES (?, ?, ?, ?, ?)';
    this.#database.run(sql, service, node, host, port, Number(proxyProtocol));
  }

  async deleteInstance(service: string, node: string): Promise<boolean> {
    return this.#database.run('DELETE FROM instances WHERE service = ? AND node = ?', service, node) > 0;
  }

  async listInstances(): Promise<readonly StoredInstance[]> {
    return this.#database.all('SELECT * FROM instances ORDER BY service, node').map((row) => toInstance(row));
  }

  async putForward(forward: SnapshotForward): Promise<void> {
    const { node, service, host, port } = forward;
    this.#database.run('INSERT OR REPLACE INTO forwards VALUES (?, ?, ?, ?)', node, service, host, port);
  }

  async deleteForward(node: string, service: string): Promise<boolean> {
    return this.#database.run('DELETE FROM forwards WHERE node = ? AND service = ?', node, service) > 0;
  }

  async listForwards(): Promise<readonly SnapshotForward[]> {
    return this.#database.all('SELECT * FROM forwards ORDER BY node, service').map((row) => toForward(row));
  }

  async snapshotVersion(bodyHash: string): Promise<number> {
    return this.#database.transact(() => {
      const row = this.#database.first("SELECT value, mark FROM counters WHERE name = 'snapshot'") ?? {};
      if (text(row, 'mark') === bodyHash) return integer(row, 'value');
      const version = integer(row, 'value') + 1;
      this.#database.run("UPDATE counters SET value = ?, mark = ? WHERE name = 'snapshot'", version, bodyHash);
      return version;
    });
  }

  async close(): Promise<void> {
    this.#database.close();
  }

  #admit(grant: NodeGrant, svid: IssuedSvid): void {
    this.#revokeSvids(grant.node, svid.issuedAtMs);
    this.#database.run(
      `INSERT INTO nodes VALUES (?, ?, ?, ?, ?, '[]', ?, 0) ON CONFLICT (name) DO UPDATE SET spiffe_id =
       excluded.spiffe_id, relay = excluded.relay, labels = excluded.labels, links = excluded.links,
       addresses = '[]', admitted_at_ms = excluded.admitted_at_ms, revoked = 0`,
      grant.node,
      svid.spiffeId,
      Number(grant.relay),
      JSON.stringify(grant.labels),
      linksText(grant),
      svid.issuedAtMs,
    );
    this.#recordSvid(svid);
  }

  #setAddresses(name: string, addresses: readonly string[]): void {
    this.#database.run('UPDATE nodes SET addresses = ? WHERE name = ?', JSON.stringify(addresses), name);
  }

  #recordSvid(svid: IssuedSvid): void {
    this.#database.run('DELETE FROM svids WHERE not_after_ms < ?', svid.issuedAtMs - KEEP_MS);
    this.#database.run(
      'INSERT INTO svids VALUES (?, ?, ?, ?, ?, NULL)',
      svid.serial,
      svid.node,
      svid.spiffeId,
      svid.notAfterMs,
      svid.issuedAtMs,
    );
  }

  /** One epoch for all that one decision revokes; no epoch is spent where nothing was left to revoke. */
  #revokeSvids(node: string, wallMs: number): void {
    const open = 'node = ? AND revoked_epoch IS NULL AND not_after_ms > ?';
    if (this.#database.first(`SELECT 1 FROM svids WHERE ${open}`, node, wallMs - SKEW_MS) === undefined) return;
    this.#database.run("UPDATE counters SET value = value + 1 WHERE name = 'epoch'");
    const epoch = integer(this.#database.first("SELECT value FROM counters WHERE name = 'epoch'") ?? {}, 'value');
    this.#database.run(`UPDATE svids SET revoked_epoch = ? WHERE ${open}`, epoch, node, wallMs - SKEW_MS);
  }
}

function linksText(grant: NodeGrant): string | null {
  return grant.links === null ? null : JSON.stringify(grant.links);
}
