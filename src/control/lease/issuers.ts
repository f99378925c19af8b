/** An issuing certificate as a replica brings it. */
export interface NewIssuer {
  readonly der: Uint8Array;
  /** SHA-256 of it and of its root, lower-case hex. */
  readonly hash: string;
  readonly rootHash: string;
  readonly notAfterMs: number;
}

/** An issuer that signs nothing yet, because nodes may not know it. */
export interface PendingIssuer {
  readonly hash: string;
  /** Unix epoch milliseconds. */
  readonly addedAtMs: number;
}

/** The issuing certificates of all replicas of a mesh. */
export interface IssuerStore {
  /**
   * Adds a replica's own; where there are others and nodes, it is pending. Rejects with TRUST_DOMAIN_DIFFERS when the database
   * belongs to a mesh with another root.
   */
  addIssuer(issuer: NewIssuer, wallMs: number): Promise<void>;
  /** Those that have not expired by `wallMs`, DER in a fixed order. */
  listIssuers(wallMs: number): Promise<readonly Uint8Array[]>;
  listPending(wallMs: number): Promise<readonly PendingIssuer[]>;
  /** All nodes whose sessions are with `replica` know it. */
  acknowledge(hash: string, replica: string): Promise<void>;
  listAcknowledged(hash: string): Promise<ReadonlySet<string>>;
  /** It may sign from now on. */
  setReady(hash: string): Promise<void>;
}
