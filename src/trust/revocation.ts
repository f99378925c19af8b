import type { PeerIdentity } from '#trust/identity.ts';

/** One revoked certificate: by identity and serial, numbered by the epoch of the revocation that named it. */
export interface Revocation {
  readonly spiffeId: string;
  /** Lower-case hex without leading zeros. */
  readonly serial: string;
  readonly epoch: number;
}

/** Certificates that must not be believed although they verify. Immutable; a new snapshot makes a new set. */
export class RevocationSet {
  readonly #keys: ReadonlySet<string>;
  /** The highest epoch in the set, 0 when it is empty. */
  readonly epoch: number;

  constructor(revocations: readonly Revocation[]) {
    this.#keys = new Set(revocations.map((revocation) => keyOf(revocation)));
    this.epoch = revocations.reduce((highest, revocation) => Math.max(highest, revocation.epoch), 0);
  }

  get size(): number {
    return this.#keys.size;
  }

  isRevoked(identity: Pick<PeerIdentity, 'spiffeId' | 'serial'>): boolean {
    return this.#keys.has(keyOf(identity));
  }
}

function keyOf(entry: { readonly spiffeId: string; readonly serial: string }): string {
  return `${entry.serial}@${entry.spiffeId}`;
}
