import type { Result } from '#kernel/result.ts';

/** A certificate that the trust rules accept: chain, SPIFFE rules, validity and revocation were checked. */
export interface AcceptedCertificate {
  /** The node it names. */
  readonly name: string;
  /** SHA-256 of its DER, lower-case hex. */
  readonly hash: string;
  /** Unix milliseconds. */
  readonly notAfterMs: number;
  /** Whether `signature` over `message` is by its key. Must not throw. */
  verify(message: Uint8Array, signature: Uint8Array): boolean;
}

/** What the link-state machine asks of the world; all synchronous. */
export interface LinkStatePorts {
  /** The node's present leaf: DER and its SHA-256 (32 bytes). Asked again after `handleTrustChanged`. */
  ownCertificate(): { readonly der: Uint8Array; readonly hash: Uint8Array };
  /** A signature by the key of `ownCertificate()`. */
  sign(message: Uint8Array): Uint8Array;
  /** SHA-256. */
  hash(bytes: Uint8Array): Uint8Array;
  /** Judges a leaf that somebody sent; the error is a stable code. Must not throw. */
  acceptCertificate(der: Uint8Array): Result<AcceptedCertificate, string>;
  /** `certificateHash` is lower-case hex. */
  isRevoked(name: string, certificateHash: string): boolean;
}

/** Who this node is in its own record. */
export interface LinkStateOptions {
  readonly origin: string;
  /** Greater than in any earlier life: Unix milliseconds at start will do. 1..2^53-1. */
  readonly incarnation: number;
  readonly relay: boolean;
  readonly draining?: boolean;
}

/** What the driver must do. */
export type LinkStateOutput =
  | { readonly kind: 'send'; readonly peer: string; readonly message: Uint8Array }
  /** The graph, and so paths, may differ from before. */
  | { readonly kind: 'changed' }
  | { readonly kind: 'alarm'; readonly code: AlarmCode; readonly detail: string };

/** DOUBLED_IDENTITY: another process signs records with this node's name. SEQUENCE_EXHAUSTED: a new incarnation was begun. */
export type AlarmCode = 'DOUBLED_IDENTITY' | 'SEQUENCE_EXHAUSTED';

/** One stored record, for status. */
export interface RecordSummary {
  readonly origin: string;
  readonly incarnation: number;
  readonly sequence: number;
  readonly certificateHash: string;
  /** When the origin signed it, Unix milliseconds. */
  readonly issuedAtMs: number;
  /** When its certificate ends, Unix milliseconds. */
  readonly notAfterMs: number;
  readonly relay: boolean;
  readonly draining: boolean;
  readonly neighbours: readonly { readonly name: string; readonly cost: number }[];
}
