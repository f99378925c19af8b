/** The log of changes and denials. */
export interface AuditTables {
  readonly audit_entries: AuditEntryRow;
  readonly audit_head: AuditHeadRow;
  readonly audit_checkpoints: AuditCheckpointRow;
  readonly audit_signers: AuditSignerRow;
}

export interface AuditEntryRow {
  readonly seq: number;
  readonly previous_hash: string;
  readonly body_hash: string;
  /** JSON. */
  readonly body: string;
}

/** One row: who appends writes it first. */
interface AuditHeadRow {
  readonly id: number;
  readonly seq: number;
  readonly hash: string;
}

interface AuditCheckpointRow {
  readonly seq: number;
  readonly hash: string;
  readonly at_ms: number;
  readonly signer_hash: string;
  /** Base64. */
  readonly signature: string;
}

interface AuditSignerRow {
  readonly hash: string;
  /** Base64 of DER, as is the next. */
  readonly signer: string;
  readonly issuer: string;
}
