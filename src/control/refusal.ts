import { fail } from '#kernel/result.ts';

/** Why the control plane said no; documented in docs/reference. */
export type ControlCode =
  | 'TOKEN_GARBLED'
  | 'TOKEN_UNKNOWN_VERSION'
  | 'TOKEN_UNKNOWN'
  | 'TOKEN_USED'
  | 'TOKEN_EXPIRED'
  | 'TOKEN_WRONG_NODE'
  | 'JOIN_PENDING'
  | 'JOIN_DENIED'
  | 'CSR_UNREADABLE'
  | 'CSR_WRONG_KEY'
  | 'CSR_NO_PROOF'
  | 'NODE_UNKNOWN'
  | 'NODE_REVOKED'
  | 'NODE_DOWN'
  | 'NODE_NOT_DRAINING'
  | 'NAME_INVALID'
  | 'ADDRESS_INVALID'
  | 'LABELS_INVALID'
  | 'LINKS_INVALID'
  | 'TTL_INVALID'
  | 'SERVICE_UNKNOWN'
  | 'FORWARD_UNKNOWN'
  | 'FORWARD_ADDRESS_TAKEN'
  | 'FORWARD_EXISTS'
  | 'TARGET_NOT_ALLOWED'
  | 'LIMIT_REACHED'
  | 'POLICY_SYNTAX'
  | 'POLICY_SCHEMA'
  | 'POLICY_TOO_LARGE'
  | 'POLICY_TOO_COMPLEX'
  | 'POLICY_LIMIT'
  | 'POLICY_UNKNOWN'
  | 'POLICY_CHANGED'
  | 'POLICY_NOT_FOR_PRODUCTION';

export interface Refusal {
  readonly code: ControlCode;
  readonly message: string;
  /** What is wrong where; depends on the code. */
  readonly details?: Readonly<Record<string, unknown>>;
}

export function refuse(code: ControlCode, message: string): { readonly ok: false; readonly error: Refusal } {
  return fail({ code, message });
}
