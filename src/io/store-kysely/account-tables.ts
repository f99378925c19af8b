/** People, and what they prove themselves with. */
export interface AccountTables {
  readonly users: UserRow;
  readonly sessions: SessionRow;
  readonly api_keys: KeyRow;
  readonly invitations: InvitationRow;
  readonly requests: RequestRow;
}

export interface UserRow {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  readonly password_hash: string;
  readonly created_at_ms: number;
  readonly disabled: number;
}

export interface SessionRow {
  readonly id: string;
  readonly secret_hash: string;
  readonly user_id: string;
  readonly created_at_ms: number;
  readonly expires_at_ms: number;
  readonly last_used_at_ms: number;
}

export interface KeyRow {
  readonly id: string;
  readonly secret_hash: string;
  readonly user_id: string;
  readonly name: string;
  readonly role: string;
  readonly actions: string | null;
  readonly created_at_ms: number;
  readonly expires_at_ms: number;
  readonly last_used_at_ms: number | null;
}

export interface InvitationRow {
  readonly id: string;
  readonly secret_hash: string;
  readonly role: string;
  readonly invited_by: string;
  readonly created_at_ms: number;
  readonly expires_at_ms: number;
}

/** A request that may come again, by its principal and key; `answer` is null while it is worked on. */
interface RequestRow {
  readonly principal: string;
  readonly key_hash: string;
  readonly body_hash: string;
  readonly status: number | null;
  readonly answer: string | null;
  readonly expires_at_ms: number;
}
