import { randomUUID } from 'node:crypto';
import type { Kysely } from 'kysely';
import { bytesEqual } from '#kernel/bytes.ts';
import { STALE_AFTER_DEFAULT_MS } from '#trust/freshness.ts';
import type { PresenceBoard } from '#control/presence.ts';
import type { PublishedSnapshot } from '#control/snapshot-publisher.ts';
import { KyselyIssuerStore } from '#io/store-kysely/issuer-store.ts';
import { KyselyLeaseStore } from '#io/store-kysely/lease-store.ts';
import type { Tables } from '#io/store-kysely/tables.ts';
import { certifiedIssuers } from '#io/x509-asn1/chain.ts';
import { sha256Bytes } from '#io/x509-asn1/snapshot-verifier.ts';
import type { AuthorityFiles } from './authority-files.ts';

/** Leases of this name say which replicas live. */
export const REPLICA_LEASES = 'replica/';
/** A replica that is silent for so long has no sessions of nodes: three of the beats that a node misses, and some room. */
const REPLICA_TTL_MS = 20_000;

/** The replicas of a mesh by the database: which live, whose issuing certificates are good, and which of these may sign. */
export class Replicas {
  /** Of this process. */
  readonly id = randomUUID();
  /** One list for everybody who asks, in the same order at every replica. DER. */
  readonly issuers: Uint8Array[] = [];
  readonly #store: KyselyIssuerStore;
  readonly #leases: KyselyLeaseStore;
  readonly #authority: AuthorityFiles;
  readonly #ownHash: string;
  readonly #isAlone: boolean;
  /** The first version that this replica published with a pending issuer. */
  readonly #publishedIn = new Map<string, number>();
  #live: ReadonlySet<string>;
  #isPending = false;

  private constructor(database: Kysely<Tables>, authority: AuthorityFiles, isAlone: boolean) {
    this.#store = new KyselyIssuerStore(database);
    this.#leases = new KyselyLeaseStore(database);
    this.#authority = authority;
    this.#isAlone = isAlone;
    this.#ownHash = sha256Bytes(authority.issuer.certificate.der).toHex();
    this.#live = new Set([this.id]);
  }

  /** Adds this one, with its issuer. Rejects with TRUST_DOMAIN_DIFFERS. */
  static async open(database: Kysely<Tables>, authority: AuthorityFiles, isAlone: boolean): Promise<Replicas> {
    const replicas = new Replicas(database, authority, isAlone);
    const { root, issuer } = authority;
    const { der, notAfterMs } = issuer.certificate;
    const rootHash = sha256Bytes(root.certificate.der).toHex();
    await replicas.#store.addIssuer({ der, hash: replicas.#ownHash, rootHash, notAfterMs }, Date.now());
    await replicas.refresh();
    const pending = await replicas.#store.listPending(Date.now());
    replicas.#isPending = pending.some(({ hash }) => hash === replicas.#ownHash);
    return replicas;
  }

  /** Nodes do not know this replica's issuer yet: it signs nothing for them. */
  get isPending(): boolean {
    return this.#isPending;
  }

  /** Undefined where no other can share the database. */
  get live(): ReadonlySet<string> | undefined {
    return this.#isAlone ? undefined : this.#live;
  }

  /** Says that this one lives, and reads what the others said; true when there is another list of issuers. */
  async refresh(): Promise<boolean> {
    if (!this.#isAlone) {
      await this.#leases.take(`${REPLICA_LEASES}${this.id}`, this.id, REPLICA_TTL_MS);
      this.#live = await this.#leases.listHolders(REPLICA_LEASES);
    }
    const wallMs = Date.now();
    const stored = await this.#store.listIssuers(wallMs);
    const found = certifiedIssuers(stored, [this.#authority.root.certificate.der], wallMs);
    const isSame =
      found.length === this.issuers.length && found.every((der, at) => bytesEqual(der, this.issuers[at] ?? der));
    if (!isSame) this.issuers.splice(0, this.issuers.length, ...found);
    return !isSame;
  }

  /** After a snapshot with the present list was published: whether all nodes know the issuers that wait. True when this one's may sign from now on. */
  async handlePublished(snapshot: PublishedSnapshot | undefined, board: PresenceBoard): Promise<boolean> {
    if (this.#isAlone || snapshot === undefined) return false;
    const pending = await this.#store.listPending(Date.now());
    for (const { hash } of pending) await this.#acknowledge(hash, snapshot.header.version, board);
    const own = pending.find(({ hash }) => hash === this.#ownHash);
    if (!this.#isPending || (own !== undefined && !(await this.#isKnown(own.addedAtMs)))) return false;
    await this.#store.setReady(this.#ownHash);
    this.#isPending = false;
    return true;
  }

  async close(): Promise<void> {
    if (!this.#isAlone) await this.#leases.release(`${REPLICA_LEASES}${this.id}`, this.id);
  }

  async #acknowledge(hash: string, version: number, board: PresenceBoard): Promise<void> {
    if (!this.issuers.some((der) => sha256Bytes(der).toHex() === hash)) return;
    const first = this.#publishedIn.get(hash) ?? version;
    this.#publishedIn.set(hash, first);
    if (board.isBelieved(first)) await this.#store.acknowledge(hash, this.id);
  }

  /** Whoever has not heard of it in so long believes nobody any more. */
  async #isKnown(addedAtMs: number): Promise<boolean> {
    if (Date.now() - addedAtMs > STALE_AFTER_DEFAULT_MS) return true;
    const told = await this.#store.listAcknowledged(this.#ownHash);
    return [...this.#live].every((id) => told.has(id));
  }
}
