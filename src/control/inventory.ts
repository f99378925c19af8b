import type { StoredToken } from '#control/store.ts';

/** A certificate that was issued to a node. Times are Unix epoch milliseconds. */
export interface ListedCertificate {
  readonly serial: string;
  readonly node: string;
  readonly spiffeId: string;
  readonly issuedAtMs: number;
  readonly notAfterMs: number;
  /** The epoch of its revocation; null for one that is believed. */
  readonly revokedEpoch: number | null;
}

/** What operators look through: at most `limit`, by id, after `after`. */
export interface Inventory {
  /** Also those that were used or have expired, as long as they are kept. */
  listTokens(after: string, limit: number): Promise<readonly StoredToken[]>;
  /** Takes back a token that nobody has used; false when there is none. */
  revokeToken(id: string): Promise<boolean>;
  /** Certificates that have not expired by `wallMs`. */
  listCertificates(after: string, limit: number, wallMs: number): Promise<readonly ListedCertificate[]>;
}
