/** The issuing certificates of all replicas of a mesh. DER. */
export interface IssuerStore {
  /**
   * Adds a replica's own. Rejects with TRUST_DOMAIN_DIFFERS when the database belongs to a mesh with another root; `rootHash`
   * is its SHA-256 in hex.
   */
  addIssuer(issuer: Uint8Array, hash: string, rootHash: string, notAfterMs: number): Promise<void>;
  /** Those that have not expired by `wallMs`, in a fixed order. */
  listIssuers(wallMs: number): Promise<readonly Uint8Array[]>;
}
