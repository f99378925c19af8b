/** What several control planes agree on. */
export interface ReplicaTables {
  readonly leases: LeaseRow;
  readonly issuers: IssuerRow;
  readonly issuer_acks: IssuerAckRow;
}

interface LeaseRow {
  readonly name: string;
  readonly epoch: number;
  readonly holder: string;
  /** By the database's clock. */
  readonly expires_at_ms: number;
}

interface IssuerRow {
  /** SHA-256 of the certificate, hex, as is that of the root. */
  readonly hash: string;
  readonly root_hash: string;
  /** Base64 of DER. */
  readonly certificate: string;
  readonly not_after_ms: number;
  /** The nodes know it. */
  readonly ready: number;
  readonly added_at_ms: number;
}

/** All nodes of this replica know this issuer. */
interface IssuerAckRow {
  readonly issuer: string;
  readonly replica: string;
}
