import type { AuditCheckpoint, AuditEntry, AuditHead } from '#control/audit/chain.ts';

/** Whose signatures checkpoints carry. DER. */
export interface AuditSigner {
  readonly signer: Uint8Array;
  readonly issuer: Uint8Array;
}

/**
 * Where the log is kept. The conformance suite in `tests/fixtures/audit-store-suite.ts` is the specification.
 */
export interface AuditStore {
  /**
   * Puts behind the last entry what `make` makes of it. Of all replicas one does so at a time; `make` may be called again
   * when the database ended the step.
   */
  append(make: (head: AuditHead) => readonly AuditEntry[], hashOf: (entry: AuditEntry) => string): Promise<void>;
  /** Does `work`, and appends in one step with its first change; `isWritten` says whether there was one. */
  appendWith<T>(
    make: (head: AuditHead) => readonly AuditEntry[],
    hashOf: (entry: AuditEntry) => string,
    work: () => Promise<T>,
  ): Promise<{ readonly value: T; readonly isWritten: boolean }>;
  head(): Promise<AuditHead>;
  /** In order, from `afterSeq` on, not including it. */
  list(afterSeq: number, limit: number): Promise<readonly AuditEntry[]>;
  /** A second one of the same number is forgotten. */
  putCheckpoint(checkpoint: AuditCheckpoint, signer: AuditSigner): Promise<void>;
  lastCheckpoint(): Promise<AuditCheckpoint | undefined>;
  listCheckpoints(afterSeq: number, limit: number): Promise<readonly (AuditCheckpoint & AuditSigner)[]>;
}
