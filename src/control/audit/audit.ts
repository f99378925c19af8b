export type AuditOutcome = 'done' | 'denied' | 'failed';

/** What happened, for the log. Texts are at most 512 characters, longer ones are cut; no secret belongs here. */
export interface AuditNote {
  /** `user:alice`, `node:rome`, `control:main`. */
  readonly actor: string;
  /** `nodes:revoke`, `tokens:create`, `stream:open`. */
  readonly action: string;
  /** `Node:rome`, `Service:db`. */
  readonly target: string;
  readonly outcome: AuditOutcome;
  readonly detail?: Readonly<Record<string, string | number | boolean>>;
  readonly traceId?: string;
}

/** The log of every change and every denial. */
export interface Audit {
  /** Resolves when it is on the disk. Rejects with what the database says, or AUDIT_BUSY when too much waits. */
  record(note: AuditNote): Promise<void>;
}

/** The log of who also makes changes. */
export interface ChangeAudit extends Audit {
  /**
   * Does `work`. Its first change of what the control plane remembers and the note are on the disk together or not at all; where
   * nothing changed there, the note is recorded afterwards, if `isDone` of what came back.
   */
  follow<T>(note: AuditNote, work: () => Promise<T>, isDone?: (value: T) => boolean): Promise<T>;
}
