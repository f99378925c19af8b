import type { Kysely } from 'kysely';
import { bytesEqual } from '#kernel/bytes.ts';
import type { IssuerStore } from '#control/lease/issuers.ts';
import { KyselyIssuerStore } from '#io/store-kysely/issuer-store.ts';
import type { Tables } from '#io/store-kysely/tables.ts';
import { certifiedIssuers } from '#io/x509-asn1/chain.ts';
import { sha256Bytes } from '#io/x509-asn1/snapshot-verifier.ts';
import type { AuthorityFiles } from './authority-files.ts';

/** The others look every half second what changed, and tell the nodes at once. */
const SETTLE_MS = 3_000;

/** The issuing certificates of all replicas, by the database; what the root did not certify is not among them. */
export class ReplicaIssuers {
  /** One list for everybody who asks, in the same order at every replica. DER. */
  readonly all: Uint8Array[] = [];
  readonly #store: IssuerStore;
  readonly #authority: AuthorityFiles;

  private constructor(store: IssuerStore, authority: AuthorityFiles) {
    this.#store = store;
    this.#authority = authority;
  }

  /**
   * Adds this replica's own. Where there are others already, resolves only when these have told the nodes of it: before that,
   * what it signs would be refused. Rejects with TRUST_DOMAIN_DIFFERS.
   */
  static async open(database: Kysely<Tables>, authority: AuthorityFiles): Promise<ReplicaIssuers> {
    const issuers = new ReplicaIssuers(new KyselyIssuerStore(database), authority);
    const { root, issuer } = authority;
    const before = await issuers.#read();
    const { der, notAfterMs } = issuer.certificate;
    const [hash, rootHash] = [sha256Bytes(der).toHex(), sha256Bytes(root.certificate.der).toHex()];
    await issuers.#store.addIssuer(der, hash, rootHash, notAfterMs);
    await issuers.refresh();
    const isNew = before.length > 0 && !before.some((known) => bytesEqual(known, der));
    if (isNew) await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    return issuers;
  }

  /** Whether there is another list now. */
  async refresh(): Promise<boolean> {
    const found = await this.#read();
    const isSame = found.length === this.all.length && found.every((der, at) => bytesEqual(der, this.all[at] ?? der));
    if (!isSame) this.all.splice(0, this.all.length, ...found);
    return !isSame;
  }

  async #read(): Promise<readonly Uint8Array[]> {
    const wallMs = Date.now();
    return certifiedIssuers(await this.#store.listIssuers(wallMs), [this.#authority.root.certificate.der], wallMs);
  }
}
