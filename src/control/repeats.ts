/** A request that may come again. Hashes are SHA-256, hexadecimal; times Unix epoch milliseconds. */
export interface RepeatableRequest {
  readonly principal: string;
  readonly keyHash: string;
  /** Of what was asked for. */
  readonly bodyHash: string;
}

/** What was answered; `answer` is sealed, for it may hold secrets. */
export interface StoredAnswer {
  readonly status: number;
  readonly answer: string;
}

/**
 * `new`: the caller does it, and then calls `finish` or `drop`. `busy`: another one is at it. `other`: the key was used for
 * something else.
 */
export type RepeatJudgement = 'new' | 'busy' | 'other' | StoredAnswer;

/** Remembers what requests with an `Idempotency-Key` were answered. Every method is atomic. */
export interface RepeatStore {
  /** `busyUntilMs`: when a request that was neither finished nor dropped, because its process ended, is forgotten. */
  begin(request: RepeatableRequest, wallMs: number, busyUntilMs: number): Promise<RepeatJudgement>;
  finish(request: RepeatableRequest, answer: StoredAnswer, expiresAtMs: number): Promise<void>;
  drop(request: RepeatableRequest): Promise<void>;
}
