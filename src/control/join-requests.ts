/** A node with a good token that a person is to let in. Times are Unix epoch milliseconds. */
export interface JoinRequest {
  /** That of its token. */
  readonly id: string;
  readonly node: string;
  /** SHA-256 of its public key, lower-case hex: what it shows in its own log too. */
  readonly keyHash: string;
  readonly addresses: readonly string[];
  readonly askedAtMs: number;
  /** With its token. */
  readonly expiresAtMs: number;
}

/** `other`: the token was brought by another key first. `full`: too many wait. */
export type JoinState = 'waiting' | 'approved' | 'denied' | 'other' | 'full';

/** What {@link JoinRequestStore.ask} says; `isNew` when this call wrote it down. */
export interface JoinJudgement {
  readonly state: JoinState;
  readonly isNew: boolean;
}

/** Nodes that wait at once; each is a token that somebody made. */
export const JOIN_REQUEST_LIMIT = 1_000;

/** The requests that wait for a person. Each method is atomic; `tests/fixtures/join-request-suite.ts` is the specification. */
export interface JoinRequestStore {
  /** Writes it down, unless its token has one, and says how it stands; at most `limit` wait at once. */
  ask(request: JoinRequest, wallMs: number, limit: number): Promise<JoinJudgement>;
  /** Those that wait and have not expired, the oldest first. */
  listWaiting(wallMs: number): Promise<readonly JoinRequest[]>;
  /** False for one that does not wait: once decided is decided. */
  decide(id: string, state: 'approved' | 'denied', by: string, wallMs: number): Promise<boolean>;
}
