import { fail } from '#kernel/result.ts';

/** Why the accounts said no; documented in docs/reference/errors.md. */
export type AccountCode =
  | 'CODE_WRONG'
  | 'USER_EXISTS'
  | 'USER_NAME_INVALID'
  | 'PASSWORD_WEAK'
  | 'LOGIN_WRONG'
  | 'LOGIN_TOO_OFTEN'
  | 'HASH_BUSY'
  | 'LAST_ADMIN'
  | 'USER_UNKNOWN'
  | 'INVITATION_UNKNOWN'
  | 'API_KEY_UNKNOWN'
  | 'SESSION_NEEDED'
  | 'CREDENTIAL_WRONG'
  | 'RIGHTS_EXCEEDED'
  | 'TTL_INVALID'
  | 'LIMIT_REACHED';

export interface AccountRefusal {
  readonly code: AccountCode;
  readonly message: string;
  readonly retryAfterMs?: number;
}

export function refuseAccount(
  code: AccountCode,
  message: string,
  retryAfterMs?: number,
): { readonly ok: false; readonly error: AccountRefusal } {
  return fail({ code, message, ...(retryAfterMs !== undefined && { retryAfterMs }) });
}

/** What is said when argon2 has too much to do. */
export function busy(): { readonly ok: false; readonly error: AccountRefusal } {
  return refuseAccount('HASH_BUSY', 'too many logins at once; try again', 1_000);
}
